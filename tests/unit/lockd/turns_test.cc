// However many flood, one of them is served between two turns of anybody else.
#include "lockd/server/turns.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

namespace holdfast::lockd {
namespace {

namespace asio = boost::asio;

constexpr std::size_t kFloods = 10;
constexpr std::size_t kTurns = 50;  // of each
constexpr std::size_t kOther = kFloods;

using Order = std::vector<std::size_t>;

asio::awaitable<void> flood(Turns& turns, std::size_t who, Order& order) {
  for (std::size_t i = 0; i < kTurns; ++i) {
    co_await turns.wait();
    order.push_back(who);
    turns.done();
  }
}

// Ready again in each round of the loop, as somebody is who asks one thing at a time.
asio::awaitable<void> other(asio::any_io_executor executor, Order& order) {
  for (std::size_t i = 0; i < 2 * kTurns * kFloods; ++i) {
    co_await asio::post(executor, asio::use_awaitable);
    order.push_back(kOther);
  }
}

Order run(bool with_other) {
  asio::io_context loop(1);
  Turns turns(loop.get_executor());
  Order order;
  for (std::size_t who = 0; who < kFloods; ++who)
    asio::co_spawn(loop, flood(turns, who, order), asio::detached);
  if (with_other) asio::co_spawn(loop, other(loop.get_executor(), order), asio::detached);
  loop.run();
  return order;
}

TEST(Turns, OfManyFloodsOneIsServedBetweenTwoTurnsOfAnybodyElse) {
  const Order order = run(true);
  EXPECT_EQ(std::count_if(order.begin(), order.end(), [](auto who) { return who != kOther; }),
            static_cast<std::ptrdiff_t>(kFloods * kTurns));
  std::size_t in_a_row = 0;
  for (const std::size_t who : order) {
    in_a_row = who == kOther ? 0 : in_a_row + 1;
    ASSERT_LE(in_a_row, 1u);
  }
}

TEST(Turns, FloodsTakeTurnsWithEachOther) {
  const Order order = run(false);
  ASSERT_EQ(order.size(), kFloods * kTurns);
  for (std::size_t i = kFloods; i < order.size(); ++i)
    ASSERT_EQ(order[i], order[i - kFloods]) << "first come, first served";
}

}  // namespace
}  // namespace holdfast::lockd
