#include "holdfast/wire/frame.h"

#include "holdfast/wire/errc.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace holdfast::wire {
namespace {

std::string frame(const std::string& body) {
  std::string bytes(4, '\0');
  for (std::size_t i = 0; i < 4; ++i)
    bytes[i] = static_cast<char>(body.size() >> (24 - 8 * i));
  return bytes + body;
}

// Feeds `bytes` in pieces of at most `piece`, collecting every frame as soon as it is whole.
std::vector<std::string> feed(FrameBuffer& buffer, std::string_view bytes, std::size_t piece) {
  std::vector<std::string> frames;
  while (!bytes.empty()) {
    const auto room = buffer.prepare();
    const std::size_t count = std::min({piece, room.size(), bytes.size()});
    std::memcpy(room.data(), bytes.data(), count);
    buffer.commit(count);
    bytes.remove_prefix(count);
    for (;;) {
      const auto next = buffer.next();
      if (!next) {
        frames.push_back("error");
        return frames;
      }
      if (!*next) break;
      frames.emplace_back(reinterpret_cast<const char*>((*next)->data()), (*next)->size());
    }
  }
  return frames;
}

TEST(FrameBuffer, GivesTheSameFramesHoweverTheBytesArrive) {
  const std::vector<std::string> bodies{
      "a", "", std::string(5000, 'x'), "bc", std::string(300'000, 'y'), "d"};
  std::string bytes;
  for (const auto& body : bodies)
    bytes += frame(body);
  for (const std::size_t piece :
       {std::size_t{1}, std::size_t{3}, std::size_t{4096}, bytes.size()}) {
    FrameBuffer buffer;
    EXPECT_EQ(feed(buffer, bytes, piece), bodies) << piece;
  }
}

TEST(FrameBuffer, RefusesALengthAboveTheLimitWithoutWaitingForTheBytes) {
  FrameBuffer buffer(10);
  EXPECT_EQ(feed(buffer, frame(std::string(10, 'x')), 100).front(), std::string(10, 'x'));
  const std::string announced("\0\0\0\x0b", 4);
  EXPECT_EQ(feed(buffer, announced, 100), std::vector<std::string>{"error"});
}

TEST(FrameBuffer, MemoryFollowsArrivedBytesNotAnnouncedOnes) {
  FrameBuffer buffer;
  EXPECT_TRUE(feed(buffer, std::string("\0\x0f\xff\xff", 4), 4).empty());
  EXPECT_LE(buffer.prepare().size(), 64u << 10);
}

}  // namespace
}  // namespace holdfast::wire
