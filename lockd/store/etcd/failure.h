#pragma once
/// What to tell somebody whose etcd, or what is in it, cannot be served from. Private to
/// lockd/store/etcd.

#include "holdfast/wire/start_failure.h"
#include "lockd/store/etcd/client.h"
#include "lockd/store/etcd/location.h"

#include <string>

namespace holdfast::lockd {

[[nodiscard]] wire::StartFailure etcd_damaged(const EtcdLocation& where, const std::string& detail);
[[nodiscard]] wire::StartFailure etcd_foreign(const EtcdLocation& where, const std::string& key);
[[nodiscard]] wire::StartFailure etcd_newer(const EtcdLocation& where, std::uint32_t format);
/// For a call that was answered, with a refusal.
[[nodiscard]] wire::StartFailure etcd_refused(const EtcdLocation& where, const EtcdError& error);
/// For Store::write(), and its log line.
[[nodiscard]] int errno_of(const EtcdError& error);

}  // namespace holdfast::lockd
