#include "holdfast/http/host.h"

#include <gtest/gtest.h>

namespace holdfast::http {
namespace {

TEST(Host, NumbersAreMeantForUs) {
  for (const char* host : {"127.0.0.1", "127.0.0.1:7681", "10.0.0.7:80", "[::1]", "[::1]:7681",
                           "[fd00::7]:7681", "localhost", "LOCALHOST:7681"})
    EXPECT_TRUE(host_allowed(host, {})) << host;
}

TEST(Host, NamesOnlyWhereTheyWereGiven) {
  EXPECT_FALSE(host_allowed("nas.example", {}));
  EXPECT_TRUE(host_allowed("nas.example:7681", {"nas.example"}));
  EXPECT_TRUE(host_allowed("NAS.Example", {"nas.example"}));
  EXPECT_FALSE(host_allowed("nas.example.evil", {"nas.example"}));
  EXPECT_FALSE(host_allowed("evil-nas.example", {"nas.example"}));
}

TEST(Host, WhatLooksLikeANumberIsNone) {
  for (const char* host :
       {"", ":", ":80", "[", "[]", "[::1", "127.0.0.1.evil.example", "127.0.0.1@evil",
        "localhost.evil.example", "1.2.3", "0x7f000001", " 127.0.0.1"})
    EXPECT_FALSE(host_allowed(host, {})) << host;
}

}  // namespace
}  // namespace holdfast::http
