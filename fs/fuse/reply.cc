#include "fs/fuse/reply.h"

#include "fs/core/errno_map.h"
#include "holdfast/base/assert.h"
#include "holdfast/base/log.h"

#include <utility>

namespace holdfast::fs {

Reply::Reply(fuse_req_t request) : request_(request) {}

Reply::Reply(Reply&& other) noexcept
    : request_(std::exchange(other.request_, nullptr)), interrupt_(std::move(other.interrupt_)) {}

Reply::~Reply() {
  if (request_ == nullptr) return;
  log::warn("fuse.unanswered", "answer=EIO");
  fuse_reply_err(request_, EIO);
}

fuse_req_t Reply::take() {
  HOLDFAST_ASSERT(request_ != nullptr, "a FUSE request was answered twice");
  return std::exchange(request_, nullptr);
}

void Reply::error(int error) {
  fuse_reply_err(take(), to_fuse_errno(errno_code(error)));
}
void Reply::error(const ErrorCode& code) {
  fuse_reply_err(take(), to_fuse_errno(code));
}

// Called by libfuse with its request's lock held: on_request listeners only set events.
void Reply::interrupted(fuse_req_t, void* data) {
  static_cast<task::Interrupt*>(data)->request();
}

task::Interrupt* Reply::interrupt() {
  HOLDFAST_ASSERT(request_ != nullptr, "the interrupt of an answered request");
  if (!interrupt_) {
    interrupt_ = std::make_unique<task::Interrupt>();
    // Calls back at once if the INTERRUPT overtook its request.
    fuse_req_interrupt_func(request_, &Reply::interrupted, interrupt_.get());
  }
  return interrupt_.get();
}

void DoneReply::done() {
  fuse_reply_err(take(), 0);
}
bool EntryReply::entry(const fuse_entry_param& entry) {
  return fuse_reply_entry(take(), &entry) == 0;
}
bool CreateReply::created(const fuse_entry_param& entry, const fuse_file_info& file) {
  return fuse_reply_create(take(), &entry, &file) == 0;
}
bool OpenReply::opened(const fuse_file_info& file) {
  return fuse_reply_open(take(), &file) == 0;
}
void AttrReply::attributes(const struct stat& attributes, double last) {
  fuse_reply_attr(take(), &attributes, last);
}
void DataReply::data(std::span<const std::uint8_t> bytes) {
  fuse_reply_buf(take(), reinterpret_cast<const char*>(bytes.data()), bytes.size());
}
bool DataReply::data(std::span<const char> bytes) {
  return fuse_reply_buf(take(), bytes.data(), bytes.size()) == 0;
}
void WrittenReply::written(std::size_t count) {
  fuse_reply_write(take(), count);
}
void TextReply::text(const std::string& text) {
  fuse_reply_readlink(take(), text.c_str());
}
void StatfsReply::statfs(const struct statvfs& values) {
  fuse_reply_statfs(take(), &values);
}
void LockReply::lock(const struct flock& conflict) {
  fuse_reply_lock(take(), &conflict);
}

}  // namespace holdfast::fs
