#include "lockd/store/etcd/failure.h"

#include "lockd/store/etcd/rows.h"

#include <cerrno>

#include <fmt/format.h>

namespace holdfast::lockd {

using Kind = EtcdError::Kind;

wire::StartFailure etcd_damaged(const EtcdLocation& where, const std::string& detail) {
  return {.code = errno_code(EIO),
          .what = fmt::format("the store {} is damaged: {}", where.text, detail),
          .hint = fmt::format(
              "nothing is served on its word, and it was left as it is. Put etcd's latest snapshot "
              "back. If there is none: stop every holdfast-lockd of it, remove the keys (etcdctl "
              "del --prefix {}) and start again: mounts that hold locks then lose them (I/O errors "
              "until the file is closed), and new locks wait until every lease of before is over; "
              "keep --lease-ttl as it was",
              where.prefix)};
}

wire::StartFailure etcd_foreign(const EtcdLocation& where, const std::string& key) {
  return {
      .code = errno_code(EINVAL),
      .what = fmt::format("{} holds something that is not of holdfast-lockd: the key {}",
                          where.text, key),
      .hint = "it was left as it is. Give a prefix of its own: --store etcd://HOST:PORT/PREFIX"};
}

wire::StartFailure etcd_newer(const EtcdLocation& where, std::uint32_t format) {
  return {.code = errno_code(EPROTONOSUPPORT),
          .what = fmt::format("the store {} has format {}, this holdfast-lockd knows format {}",
                              where.text, format, kEtcdFormat),
          .hint = "a newer holdfast-lockd wrote it: start that version. It was left as it is"};
}

wire::StartFailure etcd_refused(const EtcdLocation& where, const EtcdError& error) {
  wire::StartFailure out{.code = errno_code(errno_of(error)),
                         .what = fmt::format("etcd refuses {}: {}", where.text, error.text),
                         .hint = {}};
  switch (error.kind) {
    case Kind::kCredentials:
      out.hint =
          "give the user and password that etcd knows: --etcd-user, --etcd-password-file; "
          "none if etcd's authentication is off";
      break;
    case Kind::kDenied:
      out.hint = fmt::format(
          "its role must read and write all keys of the prefix: etcdctl role "
          "grant-permission ROLE readwrite --prefix=true {}",
          where.prefix);
      break;
    case Kind::kFull:
      out.hint =
          "etcd's quota is used up, and what cannot be recorded cannot be promised: compact "
          "and defragment it, then etcdctl alarm disarm";
      break;
    case Kind::kUnreachable:
      out.hint = "see whether it runs and has a quorum: etcdctl endpoint status";
      break;
    case Kind::kOther:
      out.hint = "see etcd's log. It needs etcd 3.4 or later";
  }
  return out;
}

int errno_of(const EtcdError& error) {
  switch (error.kind) {
    case Kind::kUnreachable:
      return EHOSTUNREACH;
    case Kind::kCredentials:
    case Kind::kDenied:
      return EACCES;
    case Kind::kFull:
      return ENOSPC;
    case Kind::kOther:
      break;
  }
  return EIO;
}

}  // namespace holdfast::lockd
