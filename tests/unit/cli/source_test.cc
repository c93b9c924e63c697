#include "cli/mount/source.h"

#include <gtest/gtest.h>

namespace holdfast::cli {
namespace {

TEST(Source, ReadsTheUsualForms) {
  struct Row {
    const char* text;
    Source expected;
  };
  const Row rows[] = {
      {"nas:/export", NfsSource{"nas", "/export", std::nullopt}},
      {"10.0.0.1:/a/b", NfsSource{"10.0.0.1", "/a/b", std::nullopt}},
      {"[2001:db8::1]:/x", NfsSource{"2001:db8::1", "/x", std::nullopt}},
      {"nfs://nas/export", NfsSource{"nas", "/export", std::nullopt}},
      {"nfs://nas:20490/export", NfsSource{"nas", "/export", 20490}},
      {"nfs://[::1]:2049/", NfsSource{"::1", "/", 2049}},
      {"/srv/data", DirectorySource{"/srv/data"}},
      {"./a:/b", DirectorySource{"./a:/b"}},
      {"data", DirectorySource{"data"}},
  };
  for (const auto& row : rows) {
    const auto source = parse_source(row.text);
    ASSERT_TRUE(source) << row.text;
    EXPECT_EQ(*source, row.expected) << row.text;
  }
}

TEST(Source, RefusesWhatItCannotMeanWithAHint) {
  for (const char* text :
       {"", "nfs://", "nfs:///export", "nfs://nas", "nfs://nas:x/e", "nfs://nas:0/e",
        "nfs://nas:99999/e", "nas:export", "http://nas/e", "[::1:/x", "[]:/x", ":/x"}) {
    const auto source = parse_source(text);
    ASSERT_FALSE(source) << text;
    EXPECT_EQ(source.error().exit_code, kExitUsage) << text;
    EXPECT_FALSE(source.error().hint.empty()) << text;
  }
}

}  // namespace
}  // namespace holdfast::cli
