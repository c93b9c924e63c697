// Who may use which volumes, as a file says it.
#include "lockd/access/access_list.h"

#include <string>

#include <gtest/gtest.h>

namespace holdfast::lockd {
namespace {

constexpr const char* kOne = "00000000-0000-0000-0000-000000000001";
constexpr const char* kTwo = "00000000-0000-0000-0000-000000000002";

VolumeId volume(std::uint8_t last) {
  VolumeId out{};
  out.back() = last;
  return out;
}

Credential token(const std::string& name, const std::string& text, const std::string& volumes) {
  Credential out;
  out.name = name;
  out.hash = hash_of(text);
  EXPECT_EQ(parse_volumes(volumes, out), "");
  return out;
}

AccessList sample() {
  AccessList list;
  EXPECT_EQ(list.add(token("all", "secret 0", "*")), "");
  EXPECT_EQ(list.add(token("one", "secret 1", kOne)), "");
  EXPECT_EQ(list.add(token("both", "secret 2", std::string(kOne) + "," + kTwo)), "");
  Credential certificate;
  certificate.kind = Credential::Kind::kCertificate;
  certificate.name = "node-a";
  EXPECT_EQ(parse_volumes(kTwo, certificate), "");
  EXPECT_EQ(list.add(certificate), "");
  return list;
}

TEST(AccessList, ATokenIsGoodForItsVolumesOnly) {
  const AccessList list = sample();
  EXPECT_TRUE(list.find_token("secret 0")->covers(volume(77)));
  EXPECT_TRUE(list.find_token("secret 1")->covers(volume(1)));
  EXPECT_FALSE(list.find_token("secret 1")->covers(volume(2)));
  EXPECT_TRUE(list.find_token("secret 2")->covers(volume(2)));
  EXPECT_FALSE(list.find_token("secret 2")->covers(volume(3)));
  EXPECT_FALSE(list.find_token("secret 3"));
  EXPECT_FALSE(list.find_token(""));
}

TEST(AccessList, NamesOfTokensAndOfCertificatesAreNotEachOthers) {
  const AccessList list = sample();
  EXPECT_TRUE(list.find_certificate("node-a")->covers(volume(2)));
  EXPECT_FALSE(list.find_certificate("all")) << "a token's name is no certificate's";
  EXPECT_FALSE(list.find_certificate(""));
  // A certificate has no hash: what hashes to zeros is not known, and must not be.
  EXPECT_FALSE(list.find_token(std::string(32, '\0')));
}

TEST(AccessList, WhatIsWrittenIsReadAgain) {
  const AccessList list = sample();
  const auto again = AccessList::parse(list.text());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->text(), list.text());
  EXPECT_EQ(again->all().size(), 4u);
  EXPECT_EQ(list.text().find("secret"), std::string::npos) << "only hashes are kept";
}

TEST(AccessList, WhatCannotBeReadIsToldByLineAndNotRepeated) {
  const std::string hash(64, 'a');
  for (const std::string& line :
       {std::string("tokken x ") + hash + " *", std::string("token x hf_mysecret *"),
        "token x " + hash, "token x " + hash + " everything", "token x " + hash + " * more",
        std::string("certificate x"), "certificate x " + hash, std::string("certificate -x *"),
        "token x\x01y " + hash + " *", std::string("certificate x ") + kOne + ",",
        std::string("certificate x 0000000000000-000-0000-0000-000000000001"),
        std::string("certificate a *\ncertificate a *")}) {
    const auto list = AccessList::parse("# first\n\n" + line + "\n");
    ASSERT_FALSE(list) << line;
    EXPECT_EQ(list.error().substr(0, 5), "line ") << list.error();
    EXPECT_EQ(list.error().find("mysecret"), std::string::npos) << "a log is no place for a token";
  }
  EXPECT_TRUE(AccessList::parse(""));
  EXPECT_TRUE(AccessList::parse("  # comment\r\n\n"));
}

TEST(AccessList, WhatWasRemovedIsNotFoundAgain) {
  AccessList list = sample();
  const Credential one = *list.find_token("secret 1");
  EXPECT_TRUE(list.find_again(one));
  EXPECT_TRUE(list.remove("one"));
  EXPECT_FALSE(list.remove("one"));
  EXPECT_FALSE(list.find_again(one));
  EXPECT_EQ(list.add(token("one", "another secret", kOne)), "");
  EXPECT_FALSE(list.find_again(one)) << "the name is not what was believed";
}

TEST(AccessList, TokensAreLongAndNeverTheSame) {
  const std::string one = make_token();
  EXPECT_EQ(one.size(), 46u);
  EXPECT_EQ(one.substr(0, 3), "hf_");
  EXPECT_NE(one, make_token());
}

}  // namespace
}  // namespace holdfast::lockd
