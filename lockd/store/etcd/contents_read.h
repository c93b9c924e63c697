#pragma once
/// Reads what an earlier leader left, and checks it. Blocking. Private to lockd/store/etcd.

#include "lockd/store/etcd/batch.h"
#include "lockd/store/etcd/client.h"
#include "lockd/store/etcd/location.h"

#include <optional>
#include <variant>

namespace holdfast::lockd {

struct EtcdFound {
  EtcdState state;
  std::optional<std::string> meta_value;  ///< nothing: a new store
};
/// Everything below the prefix. Whoever calls this leads, so that nobody writes meanwhile.
/// An error of kind kUnreachable may be tried again.
using EtcdRead = std::variant<EtcdFound, EtcdError, wire::StartFailure>;
[[nodiscard]] EtcdRead read_all(EtcdClient& client, const EtcdKeys& keys, const EtcdLocation& where,
                                std::chrono::milliseconds limit);

}  // namespace holdfast::lockd
