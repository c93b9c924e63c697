#pragma once
/// The life of a volume on its share, over any backend. Each function may be stopped at any point
/// and called again, also by another controller: it goes on from what it finds on the share.
///
///   create   record, then directory: a directory that has no record is nobody's
///   delete   directory moved aside in one step, record removed, then what was moved is removed
///   retain   record removed
///   archive  directory renamed archived-NAME in one step, record removed
///
/// Thread: the backend's loop.

#include "deploy/csi/core/capability.h"
#include "deploy/csi/core/parameters.h"
#include "deploy/csi/core/record.h"
#include "fs/backend/backend.h"

#include <cstdint>
#include <string>

#include <boost/asio/awaitable.hpp>

namespace holdfast::csi {

struct CreateOrder {
  std::string name;
  CapacityRange capacity;
  Parameters parameters;
};
/// Errors: kAlreadyExists (the name is another volume's, or its directory is), kInvalidArgument,
/// and those of the storage.
[[nodiscard]] boost::asio::awaitable<Answer<Record>> create_volume(fs::Backend& backend,
                                                                   CreateOrder order);
/// Done if there is no such volume: then nothing is removed, whatever directory the id names.
[[nodiscard]] boost::asio::awaitable<Done> delete_volume(fs::Backend& backend, std::string name);
/// Errors: kNotFound.
[[nodiscard]] boost::asio::awaitable<Answer<Record>> find_volume_record(fs::Backend& backend,
                                                                        std::string name);
/// Notes the new size; an export has no limit that could be moved. Never shrinks.
[[nodiscard]] boost::asio::awaitable<Answer<Record>> expand_volume(fs::Backend& backend,
                                                                   std::string name,
                                                                   CapacityRange capacity);
/// Free bytes of the export.
[[nodiscard]] boost::asio::awaitable<Answer<std::int64_t>> free_bytes(fs::Backend& backend);

/// What an error of the storage means to whoever waits for a volume.
[[nodiscard]] Refusal to_refusal(const ErrorCode& error, const std::string& what);

}  // namespace holdfast::csi
