// Who waits for pages to be gone, with real threads that do as if they dropped them.

#include "fs/fuse/kernel_pages.h"

#include "fs/fuse/notifier.h"

#include <atomic>
#include <chrono>
#include <future>
#include <semaphore>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <gtest/gtest.h>

namespace holdfast::fs {
namespace {

constexpr NodeId kNode{7};

class KernelPagesTest : public ::testing::Test {
 protected:
  KernelPagesTest() { notifier_.start(); }
  ~KernelPagesTest() override {
    go_on_.release(100);
    notifier_.stop();
  }
  std::future<void> begin(boost::asio::awaitable<void> work) {
    auto done = boost::asio::co_spawn(loop_, std::move(work), boost::asio::use_future);
    settle();
    return done;
  }
  void settle() {
    loop_.restart();
    loop_.poll();
  }
  void until(const std::function<bool()>& condition) {
    while (!condition()) {
      settle();
      std::this_thread::yield();
    }
  }
  static bool ready(const std::future<void>& done) {
    return done.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  }

  std::counting_semaphore<1000> go_on_{0};
  std::atomic<int> begun_ = 0;
  std::atomic<int> attributes_ = 0;
  boost::asio::io_context loop_;
  Notifier notifier_{loop_.get_executor(),
                     {.drop_pages =
                          [this](NodeId) {
                            ++begun_;
                            go_on_.acquire();
                          },
                      .adopt_size = [](NodeId) { return std::nullopt; },
                      .drop_attributes = [this](NodeId) { ++attributes_; },
                      .give_back = {}}};
  KernelPages pages_;
};

TEST_F(KernelPagesTest, NothingIsDroppedWhereNothingWasRead) {
  EXPECT_TRUE(ready(begin(pages_.drop(notifier_, kNode))));
  EXPECT_EQ(begun_, 0);
}

// Two owners of one inode are granted at about the same time: the second must not go on beside the
// pages that the first one's drop has not reached yet.
TEST_F(KernelPagesTest, ADropThatSomebodyElseBeganIsWaitedFor) {
  pages_.may_exist();
  const auto first = begin(pages_.drop(notifier_, kNode));
  until([this] { return begun_ == 1; });
  const auto second = begin(pages_.drop(notifier_, kNode));
  const auto opening = begin(pages_.dropped());
  EXPECT_FALSE(ready(first));
  EXPECT_FALSE(ready(second));
  EXPECT_FALSE(ready(opening));
  go_on_.release();
  until([&] { return ready(first) && ready(second) && ready(opening); });
  EXPECT_EQ(begun_, 1);
}

TEST_F(KernelPagesTest, PagesReadSinceADropBeganNeedAnother) {
  pages_.may_exist();
  const auto first = begin(pages_.drop(notifier_, kNode));
  until([this] { return begun_ == 1; });
  pages_.may_exist();
  const auto second = begin(pages_.drop(notifier_, kNode));
  go_on_.release();
  until([&] { return ready(first) && begun_ == 2; });
  EXPECT_FALSE(ready(second));
  go_on_.release();
  until([&] { return ready(second); });
}

TEST_F(KernelPagesTest, ADropThatHasNotBegunDoesForAllThatAskMeanwhile) {
  pages_.may_exist();
  pages_.begin_drop(notifier_, kNode);
  until([this] { return begun_ == 1; });
  for (int i = 0; i < 100; ++i) {
    pages_.may_exist();
    pages_.begin_drop(notifier_, kNode);
  }
  const auto all = begin(pages_.dropped());
  go_on_.release(2);
  until([&] { return ready(all); });
  EXPECT_EQ(begun_, 2);
}

}  // namespace
}  // namespace holdfast::fs
