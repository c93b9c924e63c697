#pragma once
/// How long ago what a mount answers from memory may have been right, as far as changes concern
/// that are made without a token: on the server itself, or through another NFS client.

#include "holdfast/base/clock.h"

#include <chrono>

namespace holdfast::fs {

/// Zero: the storage is asked each time.
struct KeptAges {
  Duration at_open = std::chrono::seconds(3);      ///< -o acregmin=: of a file that is opened
  Duration attributes = std::chrono::seconds(60);  ///< -o acregmax=
  Duration names = std::chrono::seconds(30);       ///< -o acdirmin=: of a directory
};

}  // namespace holdfast::fs
