// The status page in a real browser: Debian's chromium, without a display.
//
// HOLDFAST_SCREENSHOTS=DIR keeps pictures of it there.
#include "tests/integration/lockd/status_scene.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace holdfast::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kBrowser = "/usr/bin/chromium";

std::string run(const std::string& command) {
  std::string out;
  FILE* const pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return out;
  std::array<char, 4096> buffer{};
  while (const auto count = std::fread(buffer.data(), 1, buffer.size(), pipe))
    out.append(buffer.data(), count);
  ::pclose(pipe);
  return out;
}

class StatusPage : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kBrowser)) GTEST_SKIP() << "no chromium on this machine";
    std::string pattern = (std::filesystem::temp_directory_path() / "browser-XXXXXX").string();
    profile_ = ::mkdtemp(pattern.data());
  }
  void TearDown() override { std::filesystem::remove_all(profile_); }

  /// The document once it has asked a few times; virtual time waits for what is loaded.
  std::string browse(std::uint16_t port, const std::string& more) const {
    return run(fmt::format(
        "HOME={0} timeout 150 {1} --headless --no-sandbox --disable-gpu --disable-dev-shm-usage "
        "--user-data-dir={0} --virtual-time-budget=9000 {2} http://127.0.0.1:{3}/ 2>/dev/null",
        profile_, kBrowser, more, port));
  }
  std::string profile_;
};

TEST_F(StatusPage, DrawsWhoWaitsForWhom) {
  StatusScene scene;
  scene.fill();
  const std::string page = browse(scene.port, "--dump-dom");
  EXPECT_THAT(page, HasSubstr("class=\"pill good\" role=\"status\">serving<"));
  EXPECT_THAT(page, HasSubstr("nas:/export/photos"));
  // pi-1's 812 holds; below it big-box's 93, and below that again pi-1's 5555.
  const auto holder = page.find(">pid 812<");
  const auto waiter = page.find(">pid 93<", holder);
  const auto behind = page.find(">pid 5555<", waiter);
  EXPECT_NE(behind, std::string::npos) << page;
  EXPECT_THAT(page, HasSubstr("<polyline")) << "it has asked more than once, and draws rates";
}

TEST_F(StatusPage, NamesOfClientsStayText) {
  StatusScene scene;
  scene.fill();
  const std::string page = browse(scene.port, "--dump-dom");
  EXPECT_THAT(page, HasSubstr("&lt;img src=x onerror=")) << "it is shown";
  EXPECT_THAT(page, Not(HasSubstr("<img")));
  EXPECT_THAT(page, HasSubstr("<title>holdfast-lockd</title>"));
}

TEST_F(StatusPage, CanBeLookedAt) {
  const char* directory = std::getenv("HOLDFAST_SCREENSHOTS");
  if (directory == nullptr) GTEST_SKIP() << "HOLDFAST_SCREENSHOTS=DIR keeps pictures";
  StatusScene scene;
  scene.fill();
  for (const auto& [name, options] :
       {std::pair{"wide", "--window-size=1280,1500"}, std::pair{"narrow", "--window-size=400,1900"},
        std::pair{"dark",
                  "--window-size=1280,1500 --force-dark-mode --blink-settings="
                  "preferredColorScheme=0"}})
    browse(scene.port,
           fmt::format("{} --screenshot={}/{}.png --hide-scrollbars", options, directory, name));
}

}  // namespace
}  // namespace holdfast::test
