#include "cli/bench/fs/scenario.h"

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include <fmt/format.h>

namespace holdfast::bench::fs {

std::vector<Kind> all_kinds() {
  std::vector<Kind> all;
  add_lock_kinds(all);
  add_sqlite_kinds(all);
  add_writer_kinds(all);
  add_data_kinds(all);
  add_name_kinds(all);
  return all;
}

void fail(const std::string& what) {
  throw std::runtime_error(fmt::format("{}: {}", what, std::strerror(errno)));
}

}  // namespace holdfast::bench::fs
