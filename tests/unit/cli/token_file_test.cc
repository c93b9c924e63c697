// A token's file, whole, being replaced, and gone.
#include "cli/mount/token_file.h"

#include "holdfast/lock/message.h"

#include <filesystem>
#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class TokenFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "token-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  void write(const std::string& text) const { std::ofstream(path()) << text; }
  [[nodiscard]] std::string path() const { return (directory_ / "token").string(); }
  [[nodiscard]] std::string trouble() const {
    const auto opened = TokenFile::open(path());
    return opened ? "none" : opened.error();
  }
  /// What token() has said, and the token.
  static std::pair<std::string, std::string> read(TokenFile& file) {
    ::testing::internal::CaptureStderr();
    std::string token = file.token();
    return {::testing::internal::GetCapturedStderr(), token};
  }

  std::filesystem::path directory_;
};

TEST_F(TokenFileTest, ItsFirstLineIsTheToken) {
  write("hf_one \r\nsomething else\n");
  auto file = TokenFile::open(path());
  ASSERT_TRUE(file) << file.error();
  EXPECT_EQ(file->token(), "hf_one");
}

TEST_F(TokenFileTest, WhatIsNoTokenIsNamed) {
  EXPECT_EQ(trouble(), "No such file or directory");
  write("");
  EXPECT_EQ(trouble(), "its first line is empty");
  write("\nhf_second_line\n");
  EXPECT_EQ(trouble(), "its first line is empty");
  write(std::string(kTokenTextMax + 1, 'x'));
  EXPECT_EQ(trouble(), "its first line is no token: longer than 256 characters");
}

TEST_F(TokenFileTest, WhileItIsReplacedTheOneOfBeforeStaysInUseAndThatIsSaidOnce) {
  write("hf_one\n");
  auto file = TokenFile::open(path());
  ASSERT_TRUE(file);
  write("");
  const auto [said, token] = read(*file);
  EXPECT_EQ(token, "hf_one");
  EXPECT_THAT(said, HasSubstr("token.unreadable"));
  EXPECT_THAT(said, HasSubstr("error=\"its first line is empty\""));
  EXPECT_THAT(said, HasSubstr("the token of before stays in use"));
  EXPECT_THAT(said, ::testing::Not(HasSubstr("hf_one"))) << "no secrets in logs";
  EXPECT_THAT(read(*file).first, IsEmpty()) << "said already";

  std::filesystem::remove(path());
  EXPECT_EQ(read(*file).second, "hf_one");
  write("hf_two\n");
  const auto [again, fresh] = read(*file);
  EXPECT_EQ(fresh, "hf_two");
  EXPECT_THAT(again, HasSubstr("token.read"));
  write("");
  EXPECT_THAT(read(*file).first, HasSubstr("token.unreadable")) << "a new trouble";
  EXPECT_EQ(file->token(), "hf_two");
}

}  // namespace
}  // namespace holdfast::cli
