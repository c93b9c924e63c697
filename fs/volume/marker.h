#pragma once
/// The marker file of one directory: read it, make it. Steps of find_volume().

#include "fs/backend/backend.h"
#include "fs/volume/volume.h"

#include <string>

#include <boost/asio/awaitable.hpp>

namespace holdfast::fs {

/// lookup() as `who`, and where permission is missing as the directory's owner.
[[nodiscard]] boost::asio::awaitable<Result<Entry>> lookup_as_somebody(Backend& backend,
                                                                       Credentials who,
                                                                       Entry directory,
                                                                       std::string name);
/// Errors: kMissing, kDamaged, those of the storage.
[[nodiscard]] boost::asio::awaitable<Result<VolumeId>> read_marker(Backend& backend,
                                                                   Credentials who,
                                                                   Entry directory);
/// Done also if somebody else made one meanwhile. Errors: kNotWritable, those of the storage.
[[nodiscard]] boost::asio::awaitable<Result<void>> make_marker(Backend& backend, Credentials who,
                                                               Entry directory);

}  // namespace holdfast::fs
