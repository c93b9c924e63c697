// The fence command: what it is given, and what counts as success.
#include "lockd/server/fence_command.h"

#include "tests/support/lock/driven_loop.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

namespace holdfast::lockd {
namespace {

using namespace std::chrono_literals;
using Words = std::vector<std::string>;

SessionRecord victim() {
  SessionRecord record;
  record.session = {0xabc};
  record.volume.fill(0x11);
  record.volume_name = "nas:/my export; rm -rf /";
  record.node = "node-a";
  record.address = "192.0.2.7";
  return record;
}

TEST(FenceCommand, PlaceholdersStandForTheVictim) {
  EXPECT_EQ(
      expand_fence_command(
          {"prog", "--client={address}", "{session}", "{volume}", "{volume_name}", "{node}:{node}"},
          victim()),
      (Words{"prog", "--client=192.0.2.7", "0000000000000abc",
             "11111111-1111-1111-1111-111111111111", "nas:/my export; rm -rf /", "node-a:node-a"}))
      << "no argument becomes two";
}

TEST(FenceCommand, NamesFromTheNetworkAreNoOptionsAndNoPlaceholders) {
  SessionRecord record = victim();
  record.node = "--all";
  record.volume_name = "{address}\n";
  EXPECT_EQ(
      expand_fence_command({"prog", "{node}", "--node={node}", "-{node}", "{volume_name}"}, record),
      (Words{"prog", "_-all", "--node=--all", "---all", "{address}?"}));
}

TEST(FenceCommand, MistakesAreFoundAtTheStart) {
  EXPECT_EQ(fence_command_error({"prog", "{address}", "a{b", "}"}), "");
  EXPECT_NE(fence_command_error({}), "");
  EXPECT_NE(fence_command_error({""}), "");
  EXPECT_NE(fence_command_error({"prog", "{adress}"}), "");
}

class FenceCommandRun : public ::testing::Test {
 protected:
  FenceCommandRun() {
    std::string pattern = (std::filesystem::temp_directory_path() / "fence-XXXXXX").string();
    directory = ::mkdtemp(pattern.data());
  }
  ~FenceCommandRun() override { std::filesystem::remove_all(directory); }
  bool run(Words argv, std::chrono::milliseconds time_max = 20s) {
    const FenceCommand command{std::move(argv), time_max};
    return loop.run(run_fence_command(loop.executor(), command, victim()));
  }
  std::string read(const char* name) const {
    std::ostringstream text;
    text << std::ifstream(directory / name).rdbuf();
    return text.str();
  }

  std::filesystem::path directory;
  support::DrivenLoop loop;
};

TEST_F(FenceCommandRun, OnlyExitStatusZeroIsSuccess) {
  EXPECT_TRUE(run({"true"}));
  EXPECT_FALSE(run({"false"}));
  EXPECT_FALSE(run({"sh", "-c", "kill -TERM $$"}));
  EXPECT_FALSE(run({"/does/not/exist"}));
  EXPECT_FALSE(run({directory.string()})) << "not executable";
}

TEST_F(FenceCommandRun, GetsItsArgumentsAndAnEmptyInput) {
  const std::string out = directory / "out";
  EXPECT_TRUE(
      run({"sh", "-c", "cat; printf '%s|' \"$@\" > \"$0\"", out, "{address}", "{volume_name}"}));
  EXPECT_EQ(read("out"), "192.0.2.7|nas:/my export; rm -rf /|");
}

TEST_F(FenceCommandRun, AtTheTimeLimitItsWholeGroupIsKilled) {
  const std::string late = directory / "late";
  EXPECT_FALSE(run({"sh", "-c", "(sleep 2; touch \"$0\") & sleep 60", late}, 200ms));
  loop.drive(2500ms);
  EXPECT_FALSE(std::filesystem::exists(late));
}

TEST_F(FenceCommandRun, ManyWordsDoNotBlockIt) {
  EXPECT_TRUE(run({"sh", "-c", "yes fence | head -c 3000000; yes | head -c 100000 >&2"}));
}

TEST_F(FenceCommandRun, AnotherProcessThatKeepsItsOutputOpenDoesNotDelayIt) {
  const auto before = std::chrono::steady_clock::now();
  EXPECT_TRUE(run({"sh", "-c", "sleep 15 &"}));
  EXPECT_LT(std::chrono::steady_clock::now() - before, 10s);
}

}  // namespace
}  // namespace holdfast::lockd
