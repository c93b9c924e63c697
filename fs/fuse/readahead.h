#pragma once
/// How far the kernel reads ahead of a program.

#include <cstdint>
#include <string>

namespace holdfast::fs {

/// Of the mount with the device 0:`connection`; after INIT, which limits it to the kernel's 128
/// KiB: too little for a stream over a network. Best effort (root, and a /sys that can be written):
/// without it streams are slower, nothing else. Source: linux:
/// Documentation/ABI/testing/sysfs-class-bdi.
void set_readahead(const std::string& connection, std::uint32_t kib);

}  // namespace holdfast::fs
