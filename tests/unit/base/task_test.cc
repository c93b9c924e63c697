#include "holdfast/base/log.h"
#include "holdfast/task/event.h"
#include "holdfast/task/group.h"
#include "holdfast/task/interrupt.h"

#include <stdexcept>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <gtest/gtest.h>

namespace asio = boost::asio;

namespace holdfast::task {
namespace {

asio::awaitable<void> wait_then_count(Event& event, int& count) {
  co_await event.wait();
  ++count;
}

asio::awaitable<void> fail() {
  throw std::runtime_error("planned");
  co_return;
}

asio::awaitable<void> join_and_note(Group& group, bool& joined) {
  co_await group.join();
  joined = true;
}

TEST(Event, WakesEveryWaiterOnce) {
  asio::io_context loop;
  Event event(loop.get_executor());
  Group group(loop.get_executor());
  int count = 0;
  group.spawn("a", wait_then_count(event, count));
  group.spawn("b", wait_then_count(event, count));
  loop.poll();
  EXPECT_EQ(count, 0);
  event.set();
  EXPECT_EQ(count, 0) << "waiters must not run inside set()";
  loop.restart();
  loop.poll();
  EXPECT_EQ(count, 2);
  EXPECT_EQ(group.size(), 0u);
}

TEST(Group, CancelEndsWaitersAndJoinReturns) {
  asio::io_context loop;
  Event never(loop.get_executor());
  Group group(loop.get_executor());
  int count = 0;
  bool joined = false;
  group.spawn("stuck", wait_then_count(never, count));
  loop.poll();
  group.cancel();
  asio::co_spawn(loop, join_and_note(group, joined), asio::detached);
  loop.restart();
  loop.poll();
  EXPECT_TRUE(joined);
  EXPECT_EQ(count, 0);
  group.spawn("late", wait_then_count(never, count));
  EXPECT_EQ(group.size(), 0u) << "a stopping group takes nothing new";
}

TEST(Group, AnExceptionEndsOnlyItsCoroutineAndIsLogged) {
  asio::io_context loop;
  Event event(loop.get_executor());
  Group group(loop.get_executor());
  int count = 0;
  const auto errors_before = log::errors_emitted();
  group.spawn("bad", fail());
  group.spawn("good", wait_then_count(event, count));
  loop.poll();
  event.set();
  loop.restart();
  loop.poll();
  EXPECT_EQ(count, 1);
  EXPECT_EQ(log::errors_emitted(), errors_before + 1);
}

TEST(Interrupt, TellsALateListenerAtOnceAndAnEarlyOneOnce) {
  Interrupt early;
  int told = 0;
  early.on_request([&] { ++told; });
  early.request();
  early.request();
  EXPECT_EQ(told, 1);
  Interrupt late;
  late.request();
  late.on_request([&] { ++told; });
  EXPECT_EQ(told, 2);
}

}  // namespace
}  // namespace holdfast::task
