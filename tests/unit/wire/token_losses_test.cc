// What a mount does about tokens whose grants and losses cross.
#include "fs/token/agent.h"

#include <gtest/gtest.h>

namespace holdfast::fs {
namespace {

const FileKey kFile{1, 1};
const FileKey kOther{2, 2};

// After a reconnect losses are told before kept replies: the grant is older than the loss.
TEST(TokenLosses, AFileThatWasLostWhileTheVolumeWasAskedForIsNotCoveredByIt) {
  TokenAgent agent({});
  const Instant now{std::chrono::seconds(100)};
  agent.want_volume(now);
  ASSERT_TRUE(agent.wanted().contains(kVolumeKey));
  agent.asked(kVolumeKey);
  agent.numbered(kVolumeKey, RequestNumber{1});
  EXPECT_EQ(agent.lost(kFile), std::set<FileKey>{kFile});
  ASSERT_TRUE(agent.granted(kVolumeKey, RequestNumber{1}, {TokenMode::kExclusive, {}}, now));
  EXPECT_EQ(agent.mode(kOther), TokenMode::kExclusive);
  EXPECT_EQ(agent.mode(kFile), TokenMode::kNone);
}

}  // namespace
}  // namespace holdfast::fs
