// What killed mounts leave goes; what anybody uses, or nobody knows, stays.
#include "fs/published/leftovers.h"

#include "fs/published/file.h"
#include "holdfast/base/unique_fd.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <new>
#include <set>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utime.h>

namespace holdfast::fs::published {
namespace {

constexpr Kind kKind{.name = "state", .magic = "TEST", .version = 1, .size = 4096};
const std::vector<std::string> kKinds{"counters", "state"};

/// As a mount does.
Result<void> publish(File& file) {
  ::new (file.memory()) Head(file.head());
  return file.publish("53");
}

class LeftoversTest : public ::testing::Test {
 protected:
  LeftoversTest() { ::mkdtemp(directory_.data()); }
  ~LeftoversTest() override { std::filesystem::remove_all(directory_); }

  [[nodiscard]] std::string path(const std::string& name) const { return directory_ + "/" + name; }
  void make(const std::string& name) const { std::ofstream(path(name)) << "x"; }
  void make_old(const std::string& name) const {
    make(name);
    const utimbuf long_ago{1, 1};
    ::utime(path(name).c_str(), &long_ago);
  }
  [[nodiscard]] UniqueFd bind(const std::string& name) const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string at = path(name);
    std::copy(at.begin(), at.end(), address.sun_path);
    UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)),
              0);
    EXPECT_EQ(::listen(socket.get(), 1), 0);
    return socket;
  }
  [[nodiscard]] std::set<std::string> files() const {
    std::set<std::string> out;
    for (const auto& entry : std::filesystem::directory_iterator(directory_))
      out.insert(entry.path().filename().string());
    return out;
  }
  std::vector<std::string> clear(const std::set<std::string>& mounted = {}) const {
    auto removed = clear_leftovers(directory_, kKinds, [&](const std::string& connection) {
      return mounted.contains(connection);
    });
    std::sort(removed.begin(), removed.end());
    return removed;
  }
  std::string directory_ = std::filesystem::temp_directory_path() / "holdfast-left.XXXXXX";
};

TEST_F(LeftoversTest, WhatBelongsToNobodyGoes) {
  make("state-53");
  make("counters-53");
  bind("mount-53.sock").reset();
  make_old("state-new-4711");
  make_old("mount-srv-data.pid");
  EXPECT_EQ(clear(), (std::vector<std::string>{"counters-53", "mount-53.sock", "mount-srv-data.pid",
                                               "state-53", "state-new-4711"}));
  EXPECT_TRUE(files().empty());
}

TEST_F(LeftoversTest, ADeadMountThatStillStandsKeepsWhatTellsOfIt) {
  make("state-53");
  make("state-54");
  bind("mount-53.sock").reset();
  EXPECT_EQ(clear({"53"}), std::vector<std::string>{"state-54"});
  EXPECT_EQ(files(), (std::set<std::string>{"mount-53.sock", "state-53"}));
}

TEST_F(LeftoversTest, WhatAProcessHasStays) {
  File file(directory_, kKind);
  ASSERT_TRUE(publish(file));
  File other(directory_, kKind);  // not published yet
  const utimbuf long_ago{1, 1};
  for (const std::string& name : files())
    ::utime(path(name).c_str(), &long_ago);
  const UniqueFd socket = bind("mount-53.sock");
  const auto before = files();
  EXPECT_EQ(before.size(), 3U);
  EXPECT_TRUE(clear().empty()) << "a mount in another namespace of mounts, for example";
  EXPECT_EQ(files(), before);
  const auto view = View::open(path("state-53"), kKind);
  ASSERT_TRUE(view);
  EXPECT_TRUE(view->writer_lives());
}

TEST_F(LeftoversTest, OneThatWasMadeJustNowIsNotTakenFromItsMaker) {
  make("state-new-4711");
  make("mount-srv-data.pid");
  EXPECT_TRUE(clear().empty());
  EXPECT_EQ(files().size(), 2U);
}

TEST_F(LeftoversTest, WhatIsNotOursStays) {
  for (const char* name : {"state-", "state-x", "state-5x", "states-5", "lockd.sock", "mount-.sock",
                           "mount-a.sock", "state-new-", "csi-keeper.sock"})
    make_old(name);
  std::filesystem::create_directory(path("state-77"));
  std::filesystem::create_symlink("/etc/passwd", path("state-78"));
  bind("holdfast.sock").reset();
  const auto before = files();
  EXPECT_TRUE(clear().empty());
  EXPECT_EQ(files(), before);
}

TEST_F(LeftoversTest, ThoseOfAKilledProcessGo) {
  const pid_t writer = ::fork();
  if (writer == 0) {
    File file(directory_, kKind);
    File unpublished(directory_, {.name = "counters", .magic = "T", .version = 1, .size = 4096});
    ::_exit(publish(file) ? 0 : 1);  // as if killed: nothing is cleaned up
  }
  int status = -1;
  ASSERT_EQ(::waitpid(writer, &status, 0), writer);
  ASSERT_EQ(status, 0);
  const auto view = View::open(path("state-53"), kKind);
  ASSERT_TRUE(view);
  EXPECT_FALSE(view->writer_lives());
  EXPECT_EQ(clear(), std::vector<std::string>{"state-53"}) << "the other one is too young to judge";
}

TEST_F(LeftoversTest, NoDirectoryNoHarm) {
  EXPECT_TRUE(
      clear_leftovers(directory_ + "/missing", kKinds, [](auto&) { return false; }).empty());
}

}  // namespace
}  // namespace holdfast::fs::published
