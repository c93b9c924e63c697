#include "holdfast/base/json.h"

#include <string>

#include <gtest/gtest.h>

namespace holdfast {
namespace {

TEST(JsonString, PlainTextIsQuoted) {
  EXPECT_EQ(json_string(""), R"("")");
  EXPECT_EQ(json_string("/mnt/a b"), R"("/mnt/a b")");
}

TEST(JsonString, WhatWouldEndTheStringOrTheLineIsEscaped) {
  EXPECT_EQ(json_string("\"\\"), R"("\"\\")");
  EXPECT_EQ(json_string(std::string("\0\n\x1b\x7f", 4)), R"("\u0000\u000a\u001b\u007f")");
}

TEST(JsonString, Utf8StaysAndOtherBytesAreReplaced) {
  EXPECT_EQ(json_string("\u00fc\u20ac\U0001f512"), "\"\u00fc\u20ac\U0001f512\"");
  // A lone continuation, an overlong slash, half a surrogate pair, a sequence that is cut off.
  EXPECT_EQ(json_string("\x80"), R"("\ufffd")");
  EXPECT_EQ(json_string("\xc0\xaf"), R"("\ufffd\ufffd")");
  EXPECT_EQ(json_string("\xed\xa0\x80"), R"("\ufffd\ufffd\ufffd")");
  EXPECT_EQ(json_string("a\xe2\x82"), R"("a\ufffd\ufffd")");
}

}  // namespace
}  // namespace holdfast
