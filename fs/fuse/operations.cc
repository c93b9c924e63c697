#include "fs/fuse/operations.h"

#include "holdfast/base/log.h"

#include <cstdint>
#include <set>
#include <vector>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace asio = boost::asio;

namespace holdfast::fs {

Operations::Operations(asio::any_io_executor loop, Backend& backend, CachingBackend* cache,
                       LockService& locks, const MountOptions& options)
    : loop_(loop),
      backend_(backend),
      cache_(cache),
      writes_(cache != nullptr ? cache->writes_under_token() : static_cast<FileWrites&>(backend)),
      locks_(locks),
      options_(options),
      write_behind_(loop, budget_, [this]() -> Task { co_await locks_.wait_entitled(); }, {}),
      cache_bound_(options.inodes_max),
      group_(loop_) {
  budget_.uncommitted_bytes_max = options.dirty_max;
  if (options.everybody) callers_.all_are(*options.everybody);
  if (cache != nullptr) cache->on_changed([this](const FileKey& file) { changed_elsewhere(file); });
}

Operations::~Operations() = default;

Operations::Awaitable<Result<void>> Operations::prepare() {
  co_await locks_.wait_entitled();
  const auto root = co_await backend_.root();
  if (!root) co_return root.error();
  if (root->attributes.type != FileType::kDirectory) co_return errno_code(ENOTDIR);
  const auto inode = known(root->handle, root->attributes);
  HOLDFAST_ASSERT(inode->node == kRootNode, "the root must be the first inode");
  looked_up(inode);
  start("silly.sweep", sweep_directory(root->handle, Credentials{}));
  co_return Result<void>{};
}

Operations::Task Operations::look(fuse_req_t request, Task operation) {
  const auto at = looks_.insert(looks_.end(), std::make_shared<KillWatch>(loop_));
  struct End {
    std::list<std::shared_ptr<KillWatch>>& list;
    std::list<std::shared_ptr<KillWatch>>::iterator at;
    ~End() {
      (*at)->end();
      list.erase(at);
    }
  };
  const End end{looks_, at};
  (*at)->watch(request);
  co_await asio::co_spawn(loop_, std::move(operation),
                          asio::bind_cancellation_slot((*at)->slot(), asio::use_awaitable));
}

Operations::Task Operations::change(ChangeOf what, Task operation) {
  const auto running = changes_.emplace(changes_.end());
  running->of = what;
  struct Erase {
    std::list<RunningChange>& list;
    std::list<RunningChange>::iterator at;
    ~Erase() { list.erase(at); }
  };
  const Erase erase{changes_, running};
  co_await asio::co_spawn(
      loop_, std::move(operation),
      asio::bind_cancellation_slot(running->signal.slot(), asio::use_awaitable));
}

void Operations::cancel_all() {
  // One that ends erases its entry, perhaps inside emit().
  for (auto it = changes_.begin(); it != changes_.end();) {
    auto current = it++;
    current->signal.emit(asio::cancellation_type::terminal);
  }
  for (auto it = looks_.begin(); it != looks_.end();) {
    const auto current = *it++;
    current->cancel();
  }
}

Operations::Awaitable<Result<void>> Operations::commit(InodePointer inode, Credentials who) {
  return bring(std::move(inode), std::move(who), &InodeWriter::commit);
}

Operations::Awaitable<Result<void>> Operations::send(InodePointer inode, Credentials who) {
  return bring(std::move(inode), std::move(who), &InodeWriter::send);
}

Operations::Awaitable<Result<void>> Operations::bring(InodePointer inode, Credentials who,
                                                      WriterCall how) {
  if (!inode->dirty()) co_return Result<void>{};
  co_await locks_.wait_entitled();
  auto result = std::make_shared<Result<void>>(errno_code(EIO));
  ChangeOf what;
  what.node = inode->node;
  what.inode = inode;
  try {
    co_await change(what, bring_into(inode, who, how, result));
  } catch (const boost::system::system_error& error) {
    if (error.code() != asio::error::operation_aborted) throw;
    *result = errno_code(EIO);  // the session was lost meanwhile
  }
  co_return *result;
}

Operations::Task Operations::bring_into(InodePointer inode, Credentials who, WriterCall how,
                                        std::shared_ptr<Result<void>> result) {
  const auto writer = inode->writer;
  *result = Result<void>{};
  if (writer) *result = co_await ((*writer).*how)(who);
}

// Patience is for a storage that does not answer: as long as it takes what is written, we wait.
Operations::Task Operations::give_up_after(std::chrono::milliseconds patience) {
  asio::steady_timer timer(loop_);
  std::uint64_t left = 0;
  do {
    left = budget_.uncommitted_bytes;
    timer.expires_after(patience);
    co_await timer.async_wait(asio::use_awaitable);
  } while (budget_.uncommitted_bytes < left);
  log::warn("fuse.cancelled", "operations={} unwritten_bytes={}", group_.size(), left);
  group_.cancel();
  cancel_all();
  write_behind_.cancel();
}

Operations::Task Operations::finish(std::chrono::milliseconds patience) {
  task::Group watch(loop_);
  watch.spawn("finish.patience", give_up_after(patience));
  start("finish.flush", flush_all());
  co_await group_.join();
  co_await write_behind_.join();
  watch.cancel();
  co_await watch.join();
  group_.cancel();  // refuses what would still be started
  handles_.clear();
  unstable_.clear();
  directories_.clear();
  virtual_.clear();
}

}  // namespace holdfast::fs
