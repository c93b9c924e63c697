#include "cli/runtime_directory.h"

#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {
constexpr const char* kOfRoot = "/run/holdfast";
}

std::string runtime_directory() {
  if (::geteuid() == 0) return kOfRoot;
  const char* own = std::getenv("XDG_RUNTIME_DIR");
  const std::filesystem::path base = own != nullptr ? own : std::filesystem::temp_directory_path();
  return base / fmt::format("holdfast-{}", ::geteuid());
}

std::vector<std::string> published_directories() {
  return {kOfRoot, runtime_directory()};
}

std::string control_path(std::string_view directory, std::string_view connection) {
  return fmt::format("{}/mount-{}.sock", directory, connection);
}

}  // namespace holdfast::cli
