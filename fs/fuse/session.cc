#include "fs/fuse/session.h"

#include "fs/fuse/abort_file.h"
#include "fs/fuse/adopt_size.h"
#include "fs/fuse/give_back.h"
#include "holdfast/base/log.h"

#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

namespace asio = boost::asio;

namespace holdfast::fs {
namespace {

/// Below this a copy is cheaper than a fresh buffer of 1 MiB for the next request.
constexpr std::size_t kStealMin = 64 << 10;

std::string join(const std::vector<std::string>& options) {
  std::string all;
  for (const auto& option : options)
    all += (all.empty() ? "" : ",") + option;
  return all;
}

/// The connection's number: the minor device number of the mount. The kernel knows it: a request to
/// ourselves would not be answered.
std::string connection_number(const std::string& path) {
  struct statx root {};
  constexpr int kAskNobody = AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT;
  if (::statx(AT_FDCWD, path.c_str(), kAskNobody, STATX_INO, &root) != 0) return {};
  return std::to_string(root.stx_dev_minor);
}

}  // namespace

Session::Session(asio::any_io_executor loop, std::uint32_t background_max,
                 counters::Counters* counters, state::State* state)
    : loop_(loop),
      background_max_(background_max),
      requests_(counters, state),
      descriptor_(loop),
      memory_(loop),
      negotiated_(loop) {}

Session::~Session() {
  close();
  std::free(buffer_.mem);
}

Result<void> Session::mount(const std::string& path, const std::vector<std::string>& options,
                            const fuse_lowlevel_ops& operations, void* userdata) {
  std::string program = "holdfast", flag = "-o", all = join(options);
  char* arguments[] = {program.data(), flag.data(), all.data(), nullptr};
  fuse_args args = FUSE_ARGS_INIT(3, arguments);
  session_ = fuse_session_new(&args, &operations, sizeof operations, userdata);
  fuse_opt_free_args(&args);
  if (session_ == nullptr) return errno_code(EINVAL);
  path_ = path;
  errno = 0;
  if (fuse_session_mount(session_, path.c_str()) != 0) {
    const int error = errno != 0 ? errno : EIO;
    fuse_session_destroy(session_);
    session_ = nullptr;
    return errno_code(error);
  }
  fuse_custom_io hooks{};
  hooks.read = &Session::read_request;
  hooks.writev = &Session::write_answer;
  const int fd = fuse_session_fd(session_);
  if (fuse_session_custom_io(session_, &hooks, fd) != 0) return errno_code(EIO);
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
  descriptor_.assign(fd);
  connection_ = connection_number(path);
  return {};
}

ssize_t Session::read_request(int fd, void* buffer, size_t size, void* userdata) {
  const ssize_t count = ::read(fd, buffer, size);
  auto& self = *static_cast<SessionUser*>(userdata)->session;
  if (count > 0 && !self.init_read_) self.look_at_request(buffer, static_cast<size_t>(count));
  if (count > 0) self.requests_.arrived(buffer, static_cast<size_t>(count));
  return count;
}

void Session::look_at_request(const void* bytes, std::size_t size) {
  fuse_in_header header{};
  fuse_init_in init{};
  if (size < sizeof header) return;
  std::memcpy(&header, bytes, sizeof header);
  if (header.opcode != FUSE_INIT) return;
  init_read_ = true;
  init_unique_ = header.unique;
  std::memcpy(&init, static_cast<const char*>(bytes) + sizeof header,
              std::min(sizeof init, size - sizeof header));
  offered_flags_ = init.flags;
}

ssize_t Session::write_answer(int fd, iovec* parts, int count, void* userdata) {
  auto& self = *static_cast<SessionUser*>(userdata)->session;
  if (!self.init_answered_.load(std::memory_order_relaxed)) self.patch_init_answer(parts, count);
  const ssize_t written = ::writev(fd, parts, count);
  self.requests_.answered(parts, count, written);
  return written;
}

void Session::patch_init_answer(iovec* parts, int count) {
  fuse_out_header header{};
  if (count < 2 || parts[0].iov_len < sizeof header ||
      parts[1].iov_len < offsetof(fuse_init_out, flags) + sizeof(std::uint32_t))
    return;
  std::memcpy(&header, parts[0].iov_base, sizeof header);
  if (!init_read_ || header.unique != init_unique_) return;
  std::uint32_t flags = 0;
  char* const at = static_cast<char*>(parts[1].iov_base) + offsetof(fuse_init_out, flags);
  std::memcpy(&flags, at, sizeof flags);
  // libfuse 3.14 forgets to pass it on (fixed by c9905341 for 3.17); without it the kernel runs one
  // LOOKUP or READDIR of a directory at a time.
  flags |= offered_flags_ & FUSE_PARALLEL_DIROPS;
  std::memcpy(at, &flags, sizeof flags);
  locks_agreed_ = (flags & FUSE_POSIX_LOCKS) != 0 && (flags & FUSE_FLOCK_LOCKS) != 0;
  init_answered_.store(true, std::memory_order_relaxed);
  negotiated_.set();
}

void Session::init(fuse_conn_info* connection) {
  const auto refuse = [connection](unsigned flag) { connection->want &= ~flag; };
  refuse(FUSE_CAP_WRITEBACK_CACHE);  // writes whole pages later: lost updates between nodes
  refuse(FUSE_CAP_ATOMIC_O_TRUNC);   // the kernel sends a SETATTR instead: one way to truncate
  refuse(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
  refuse(FUSE_CAP_EXPLICIT_INVAL_DATA);
  connection->want |=
      connection->capable &
      (FUSE_CAP_POSIX_LOCKS | FUSE_CAP_FLOCK_LOCKS | FUSE_CAP_AUTO_INVAL_DATA |
       FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO);
  connection->max_write = kWriteMax;
  connection->max_read = kWriteMax;  // as in the mount options; libfuse insists
  connection->max_background = background_max_;
  connection->congestion_threshold = background_max_ * 3 / 4;
  connection->time_gran = 1;
}

asio::awaitable<Result<void>> Session::negotiated() {
  co_await negotiated_.wait();
  if (!locks_agreed_) co_return errno_code(EPROTONOSUPPORT);
  co_return Result<void>{};
}

bool Session::serve_turn(bool& drained) {
  drained = false;
  for (int i = 0; i < kRequestsPerTurn; ++i) {
    const int got = fuse_session_receive_buf(session_, &buffer_);
    if (got == -EAGAIN) {
      drained = true;
      return true;
    }
    if (got == -EINTR) continue;
    if (got <= 0) return false;
    fuse_session_process_buf(session_, &buffer_);
  }
  return true;
}

asio::awaitable<void> Session::serve() {
  bool drained = true;
  while (true) {
    boost::system::error_code failed;
    if (drained) {
      co_await descriptor_.async_wait(asio::posix::descriptor_base::wait_read,
                                      asio::redirect_error(asio::use_awaitable, failed));
    } else {
      co_await asio::post(loop_, asio::use_awaitable);
    }
    if (failed || session_ == nullptr || !serve_turn(drained)) break;
  }
  locks_agreed_ = locks_agreed_ && init_answered_;
  negotiated_.set();  // whoever still waits for INIT must not wait for ever
}

void Session::detach() {
  if (session_ == nullptr || std::exchange(detached_, true)) return;
  // umount2 can send requests (writeback, FORGET) and wait for them: never from the loop. The
  // thread touches nothing of ours, so it may end after us.
  std::thread([path = path_] { ::umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW); }).detach();
}

bool Session::abort() {
  if (connection_.empty()) return false;
  const auto file = open_abort_file(connection_);
  return file && ::write(file->get(), "1\n", 2) == 2;
}

void Session::close() {
  memory_.stop();
  if (session_ == nullptr) return;
  if (descriptor_.is_open()) descriptor_.release();
  auto* const session = std::exchange(session_, nullptr);
  // Closes the descriptor first (so the kernel asks nothing any more), then unmounts if that was
  // not done yet.
  fuse_session_unmount(session);
  fuse_session_destroy(session);
}

Chunk Session::take_payload(const char* data, std::size_t size) {
  const std::span bytes(reinterpret_cast<const std::uint8_t*>(data), size);
  if (size < kStealMin) return Chunk::copy_of(bytes);
  memory_.used(size);
  std::unique_ptr<void, Chunk::Free> buffer(std::exchange(buffer_.mem, nullptr));
  return {std::move(buffer), kWriteMax, bytes};
}

void Session::drop_pages(NodeId node) {
  invalidate(node, 0);
}

// fuse_lowlevel.h: "or negative to invalidate attributes only".
void Session::drop_attributes(NodeId node) {
  invalidate(node, -1);
}

void Session::invalidate(NodeId node, off_t from) {
  const int result = fuse_lowlevel_notify_inval_inode(session_, node.value, from, 0);
  // ENOENT: the kernel does not know the inode. ENODEV and ENOTCONN: it is gone altogether.
  if (result != 0 && result != -ENOENT && result != -ENODEV && result != -ENOTCONN) {
    log::error("notifier.failed", "node={} errno={}", node.value, -result);
  }
}

void Session::give_back() const {
  if (!connection_.empty()) fs::give_back(path_, static_cast<unsigned>(std::stoul(connection_)));
}

std::optional<std::uint64_t> Session::adopt_size(NodeId node) const {
  if (connection_.empty()) return std::nullopt;
  return fs::adopt_size(path_, static_cast<unsigned>(std::stoul(connection_)), node);
}

}  // namespace holdfast::fs
