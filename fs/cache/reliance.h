#pragma once
/// Changes of the storage under way, and the tokens that they rely on.
///
/// A pin outlives the loss of its token (fs/token/agent.h), so nobody can tell by it whether the
/// token is still there. What relies on one that is lost and
///   has not been sent   asks for the next token;
///   may have been sent  is given up: sent again after the mount's return it would change what is
///                       somebody else's by then. Its caller gets EIO: it has happened, before
///                       anybody else got the token (lockd waits that long, docs/reliability.md),
///                       or it never will.
///
/// Thread: the loop. Lifetime: Reliances outlives each Reliance.

#include "holdfast/base/result.h"
#include "holdfast/lock/types.h"

#include <list>
#include <set>
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

namespace holdfast::fs {

class Reliance;

/// All of a mount.
class Reliances {
 public:
  /// The token of `file` is lost.
  void lost(const FileKey& file);
  void lost_all();

 private:
  friend class Reliance;
  std::list<Reliance*> all_;
};

/// Of one change, from before its first pin until the storage has answered.
class Reliance {
 public:
  explicit Reliance(Reliances& all) : all_(all), at_(all.all_.insert(all.all_.end(), this)) {}
  ~Reliance() { all_.all_.erase(at_); }
  Reliance(const Reliance&) = delete;
  Reliance& operator=(const Reliance&) = delete;

  /// On the tokens of these, and no others; say so before the first is pinned.
  void on(std::set<FileKey> files) {
    files_ = std::move(files);
    lost_ = false;
  }
  void on(const FileKey& file) { on(std::set<FileKey>{file}); }
  void on_this_too(const FileKey& file) { files_.insert(file); }
  /// One of them was lost since on().
  [[nodiscard]] bool lost() const { return lost_; }

  /// The storage's answer to `call`; EIO if a token is lost before it has come. None was before.
  template <class T>
  boost::asio::awaitable<Result<T>> send(boost::asio::awaitable<Result<T>> call);

 private:
  friend class Reliances;
  /// Whoever cancels the caller cancels the call.
  class Forwarding;
  void lose();
  ErrorCode given_up() const;

  Reliances& all_;
  std::list<Reliance*>::iterator at_;
  std::set<FileKey> files_;
  bool lost_ = false;
  boost::asio::cancellation_signal abandon_;
};

class Reliance::Forwarding {
 public:
  Forwarding(boost::asio::cancellation_slot from, boost::asio::cancellation_signal& to)
      : from_(from) {
    if (!from_.is_connected()) return;
    from_.assign([&to](boost::asio::cancellation_type type) { to.emit(type); });
  }
  Forwarding(const Forwarding&) = delete;
  Forwarding& operator=(const Forwarding&) = delete;
  ~Forwarding() {
    if (from_.is_connected()) from_.clear();
  }

 private:
  boost::asio::cancellation_slot from_;
};

template <class T>
boost::asio::awaitable<Result<T>> Reliance::send(boost::asio::awaitable<Result<T>> call) {
  namespace asio = boost::asio;
  const auto executor = co_await asio::this_coro::executor;
  const auto caller = co_await asio::this_coro::cancellation_state;
  const Forwarding forwarding(caller.slot(), abandon_);
  try {
    co_return co_await asio::co_spawn(
        executor, std::move(call),
        asio::bind_cancellation_slot(abandon_.slot(), asio::use_awaitable));
  } catch (const boost::system::system_error& error) {
    if (!lost_ || error.code() != asio::error::operation_aborted) throw;
  }
  co_return given_up();
}

}  // namespace holdfast::fs
