#include "holdfast/wire/address.h"

#include <string>

#include <gtest/gtest.h>

namespace holdfast::wire {
namespace {

std::string reprint(std::string_view text) {
  const auto address = parse_address(text);
  return address ? to_string(*address) : "error: " + address.error().what;
}

TEST(Address, ReadsEveryForm) {
  EXPECT_EQ(reprint("nas"), "nas:7680");
  EXPECT_EQ(reprint("nas:1"), "nas:1");
  EXPECT_EQ(reprint("0.0.0.0:0"), "0.0.0.0:0");
  EXPECT_EQ(reprint("[::1]"), "[::1]:7680");
  EXPECT_EQ(reprint("[fe80::1%eth0]:65535"), "[fe80::1%eth0]:65535");
  EXPECT_EQ(reprint("*:7680"), "*:7680");
  EXPECT_EQ(reprint("unix:/run/holdfast/lockd.sock"), "unix:/run/holdfast/lockd.sock");
}

TEST(Address, SaysWhatIsWrong) {
  for (const char* text :
       {"", ":1", "nas:", "nas:65536", "nas:x", "nas:-1", "::1", "[::1", "[]:1", "[::1]1",
        "unix:", "unix:relative", "a b:1", "http://nas:1", "nas:1:2"}) {
    EXPECT_TRUE(reprint(text).starts_with("error: '")) << text << " -> " << reprint(text);
  }
  EXPECT_NE(reprint("::1").find("brackets"), std::string::npos);
  EXPECT_NE(reprint("unix:/" + std::string(200, 'x')).find("107 bytes"), std::string::npos);
}

TEST(Address, WhatStaysOnThisHostIsKnown) {
  for (const char* here : {"127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost", "unix:/x"})
    EXPECT_TRUE(stays_here(*parse_address(here))) << here;
  for (const char* away : {"0.0.0.0:1", "[::]:1", "*:1", "10.0.0.1", "nas", "localhost.example",
                           "127.0.0.1.example", "[::2]:1", "1.127.0.0:1"})
    EXPECT_FALSE(stays_here(*parse_address(away))) << away;
}

}  // namespace
}  // namespace holdfast::wire
