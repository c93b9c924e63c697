#include "fs/fuse/readahead.h"

#include "holdfast/base/log.h"

#include <fstream>

namespace holdfast::fs {

void set_readahead(const std::string& connection, std::uint32_t kib) {
  std::ofstream file("/sys/class/bdi/0:" + connection + "/read_ahead_kb");
  file << kib << "\n";
  file.flush();
  if (!file.good()) log::debug("fuse.readahead_unchanged", "connection={}", connection);
}

}  // namespace holdfast::fs
