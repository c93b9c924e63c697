#include "fs/backend/dir/handles.h"

#include "tests/support/openat2.h"

#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace holdfast::fs::dir {
namespace {

/// Root without CAP_DAC_READ_SEARCH for the length of a scope: open_by_handle_at(2) is refused.
class WithoutOpenByHandle {
 public:
  WithoutOpenByHandle() { set(false); }
  ~WithoutOpenByHandle() { set(true); }

 private:
  static void set(bool on) {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2]{};
    ::syscall(SYS_capget, &header, data);
    const unsigned bit = 1U << CAP_DAC_READ_SEARCH;
    data[0].effective =
        on ? data[0].effective | (data[0].permitted & bit) : data[0].effective & ~bit;
    ::syscall(SYS_capset, &header, data);
  }
};

class HandlesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = std::filesystem::temp_directory_path() / "holdfast-handles-XXXXXX";
    path_ = ::mkdtemp(pattern.data());
    std::filesystem::create_directory(path_ / "d");
    std::ofstream(path_ / "d" / "f") << "text";
    HOLDFAST_NEEDS_OPENAT2();
  }
  void TearDown() override { std::filesystem::remove_all(path_); }

  Handles make() {
    auto made = Handles::make(UniqueFd(::open(path_.c_str(), O_PATH | O_DIRECTORY)));
    return std::move(*made);
  }
  static FileHandle find(Handles& handles, const FileHandle& directory, const std::string& name) {
    auto node = handles.open(directory);
    auto child = open_child(node->fd.get(), name);
    auto handle = handles.name(child->fd.get(), child->status);
    handles.remember(*handle, directory, name, child->fd.get());
    return *handle;
  }

  std::filesystem::path path_;
};

TEST_F(HandlesTest, AreEqualWhateverThePrivileges) {
  Handles privileged = make();
  const auto with = find(privileged, find(privileged, privileged.root(), "d"), "f");
  const WithoutOpenByHandle reduced;
  Handles plain = make();
  EXPECT_FALSE(plain.by_handle());
  EXPECT_EQ(find(plain, find(plain, plain.root(), "d"), "f"), with);
}

TEST_F(HandlesTest, WithoutPrivilegeAForgottenOrForeignHandleIsStale) {
  Handles privileged = make();
  const auto file = find(privileged, find(privileged, privileged.root(), "d"), "f");
  const WithoutOpenByHandle reduced;
  Handles plain = make();
  EXPECT_EQ(plain.open(file).error(), errno_code(ESTALE));
}

TEST_F(HandlesTest, WithoutPrivilegeAFileIsFoundAgainAfterItsDirectoryMoved) {
  const WithoutOpenByHandle reduced;
  Handles plain = make();
  const auto file = find(plain, find(plain, plain.root(), "d"), "f");
  std::filesystem::rename(path_ / "d", path_ / "e");
  EXPECT_TRUE(plain.open(file));
}

TEST_F(HandlesTest, GarbageIsStale) {
  Handles handles = make();
  FileHandle garbage;
  EXPECT_TRUE(handles.open(garbage).has_error());
  garbage.bytes = {1, 2, 3};
  EXPECT_EQ(handles.open(garbage).error(), errno_code(ESTALE));
  garbage.bytes.assign(64, 0xff);
  EXPECT_TRUE(handles.open(garbage).has_error());
}

TEST_F(HandlesTest, AReusedInodeNumberIsAnotherFile) {
  Handles handles = make();
  std::ofstream(path_ / "one") << "1";
  const auto first = find(handles, handles.root(), "one");
  std::filesystem::remove(path_ / "one");
  std::ofstream(path_ / "two") << "2";
  const auto second = find(handles, handles.root(), "two");
  EXPECT_FALSE(first == second);
  EXPECT_EQ(handles.open(first).error(), errno_code(ESTALE));
}

}  // namespace
}  // namespace holdfast::fs::dir
