#pragma once
/// The connection to the kernel: /dev/fuse on the loop, without libfuse's own loop or threads.
///
/// libfuse parses requests and writes answers; we read when the descriptor is readable, and look at
/// the first request and its answer (INIT) on their way: libfuse 3.14 drops PARALLEL_DIROPS, and
/// the lock flags in that answer are what our promise hangs on.
///
/// Thread: the loop; drop_pages(), drop_attributes(), adopt_size() and give_back() from the
/// notifier's threads too.

#include "fs/core/inode_table.h"
#include "fs/fuse/fuse_api.h"
#include "fs/fuse/idle_memory.h"
#include "fs/fuse/requests.h"
#include "fs/io/chunk.h"
#include "holdfast/base/result.h"
#include "holdfast/task/event.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

namespace holdfast::fs {

class Session {
 public:
  /// Requests taken from the kernel before the loop serves its other sockets again.
  static constexpr int kRequestsPerTurn = 32;
  static constexpr std::uint32_t kWriteMax = 1U << 20;

  /// `userdata` comes back with every operation (fuse_req_userdata); it holds this session as
  /// `owner_of`.
  Session(boost::asio::any_io_executor loop, std::uint32_t background_max,
          counters::Counters* counters, state::State* state);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// mount(2). `options` are those of -o. `userdata` is handed to `operations`.
  Result<void> mount(const std::string& path, const std::vector<std::string>& options,
                     const fuse_lowlevel_ops& operations, void* userdata);
  /// Serves requests until the kernel has no more (unmounted or aborted).
  boost::asio::awaitable<void> serve();
  /// Returns when INIT was answered: success, or EPROTONOSUPPORT if a lock flag is missing there.
  boost::asio::awaitable<Result<void>> negotiated();
  /// umount2(MNT_DETACH) from a helper thread, since it may send requests. Harmless if repeated.
  void detach();
  /// Ends the connection by force (fusectl): serve() returns, whatever the kernel waits for ends
  /// with ENOTCONN. False where fusectl is not to be had.
  [[nodiscard]] bool abort();
  /// Its number: the minor device number of the mount (major 0).
  [[nodiscard]] const std::string& connection() const { return connection_; }
  /// Closes the connection: whatever the kernel still waits for ends with ENOTCONN.
  void close();

  /// The bytes of the WRITE being dispatched, owned. Only inside the `write` operation.
  [[nodiscard]] Chunk take_payload(const char* data, std::size_t size);
  /// Blocks until the kernel has written the dirty pages of `node` and dropped all.
  void drop_pages(NodeId node);
  /// Those that the kernel believes in; waits for no page.
  void drop_attributes(NodeId node);
  /// See give_back.h.
  void give_back() const;
  /// See adopt_size.h.
  [[nodiscard]] std::optional<std::uint64_t> adopt_size(NodeId node) const;

  /// For fuse_lowlevel_ops::init.
  void init(fuse_conn_info* connection);

 private:
  static ssize_t read_request(int fd, void* buffer, size_t size, void* userdata);
  static ssize_t write_answer(int fd, iovec* parts, int count, void* userdata);
  void look_at_request(const void* bytes, std::size_t size);
  void patch_init_answer(iovec* parts, int count);
  void invalidate(NodeId node, off_t from);
  /// Takes up to kRequestsPerTurn requests. False: the connection ended.
  bool serve_turn(bool& drained);

  boost::asio::any_io_executor loop_;
  std::uint32_t background_max_;
  Requests requests_;
  fuse_session* session_ = nullptr;
  std::string path_;
  std::string connection_;  // its number under fusectl
  boost::asio::posix::stream_descriptor descriptor_;
  fuse_buf buffer_{};
  IdleMemory memory_;
  task::Event negotiated_;
  std::uint32_t offered_flags_ = 0;
  std::uint64_t init_unique_ = 0;
  bool init_read_ = false;
  std::atomic<bool> init_answered_ = false;  // read by the notifier's threads
  bool locks_agreed_ = false;
  bool detached_ = false;
};

/// What `userdata` points to, for the hooks above and for the operations.
struct SessionUser {
  Session* session = nullptr;
  class Operations* operations = nullptr;
};

}  // namespace holdfast::fs
