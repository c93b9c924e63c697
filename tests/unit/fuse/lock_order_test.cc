#include "fs/fuse/lock_order.h"

#include <string>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

namespace asio = boost::asio;

namespace holdfast::fs {
namespace {

struct Fixture : ::testing::Test {
  asio::io_context loop;
  LockOrder order;
  std::string log;

  asio::awaitable<void> take(std::string name, LockOrder::Turn turn, task::Interrupt* interrupt) {
    const bool mine = co_await turn.wait(loop.get_executor(), interrupt);
    log += name + (mine ? "+" : "-");
    turn.leave();
  }
  void start(const std::string& name, LockOrder::Turn turn, task::Interrupt* interrupt = nullptr) {
    asio::co_spawn(loop, take(name, std::move(turn), interrupt), asio::detached);
  }
};
using LockOrderTest = Fixture;

TEST_F(LockOrderTest, TurnsComeInTheOrderOfArrivalWhateverRunsFirst) {
  auto first = order.arrive();
  auto second = order.arrive();
  start("b", std::move(second));
  loop.poll();
  EXPECT_EQ(log, "");
  loop.restart();
  start("a", std::move(first));
  loop.poll();
  EXPECT_EQ(log, "a+b+");
}

TEST_F(LockOrderTest, AnInterruptedOneGivesItsPlaceUpAtOnce) {
  auto first = order.arrive();
  task::Interrupt interrupt;
  start("b", order.arrive(), &interrupt);
  start("c", order.arrive());
  loop.poll();
  interrupt.request();
  loop.restart();
  loop.poll();
  EXPECT_EQ(log, "b-");
  first.leave();
  loop.restart();
  loop.poll();
  EXPECT_EQ(log, "b-c+");
}

TEST_F(LockOrderTest, AnInterruptedOneMayWaitOnInItsPlace) {
  auto first = order.arrive();
  auto second = order.arrive();
  start("c", order.arrive());
  task::Interrupt interrupt;
  const auto wait = [&]() -> asio::awaitable<void> {
    const bool mine = co_await second.wait(loop.get_executor(), &interrupt);
    log += mine ? "b+" : "b-";
    co_await second.wait(loop.get_executor(), nullptr);
    log += "b+";
    second.leave();
  };
  asio::co_spawn(loop, wait, asio::detached);
  loop.poll();
  interrupt.request();
  loop.restart();
  loop.poll();
  EXPECT_EQ(log, "b-");
  first.leave();
  loop.restart();
  loop.poll();
  EXPECT_EQ(log, "b-b+c+");
}

TEST_F(LockOrderTest, ATurnThatIsDroppedDoesNotBlockTheNext) {
  { const auto dropped = order.arrive(); }
  start("a", order.arrive());
  loop.poll();
  EXPECT_EQ(log, "a+");
}

}  // namespace
}  // namespace holdfast::fs
