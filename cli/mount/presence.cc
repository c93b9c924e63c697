#include "cli/mount/presence.h"

#include "cli/mount/lock_file.h"
#include "cli/runtime_directory.h"

#include <chrono>
#include <filesystem>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {

std::string file_of(const std::string& mountpoint) {
  std::string name;
  for (const char c : mountpoint) {
    if (c == '/') {
      name += '-';
    } else if (c == '-' || c == '%') {
      name += fmt::format("%{:02x}", static_cast<unsigned>(c));
    } else {
      name += c;
    }
  }
  return fmt::format("{}/mount{}.pid", runtime_directory(), name);
}

}  // namespace

Presence::Presence(const std::string& mountpoint) : path_(file_of(mountpoint)) {
  std::error_code ignored;
  std::filesystem::create_directories(runtime_directory(), ignored);
  // A mount that clears up (clearing.h) may look at an old one just now, or remove it.
  auto file = hold_lock_file(path_, 0644);
  if (!file) return;
  file_ = std::move(*file);
  const std::string pid = fmt::format("{}\n", ::getpid());
  [[maybe_unused]] const int cut = ::ftruncate(file_.get(), 0);
  [[maybe_unused]] const auto written = ::write(file_.get(), pid.data(), pid.size());
}

Presence::~Presence() {
  // The name goes now; the lock, which waiters see through their own descriptor, with the process.
  if (file_) ::unlink(path_.c_str());
  (void)file_.release();
}

Waited wait_until_gone(const std::string& mountpoint, std::chrono::seconds timeout) {
  const UniqueFd file(::open(file_of(mountpoint).c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return Waited::kGone;
  const auto until = std::chrono::steady_clock::now() + timeout;
  while (::flock(file.get(), LOCK_SH | LOCK_NB) != 0) {
    if (std::chrono::steady_clock::now() >= until) return Waited::kStillThere;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return Waited::kGone;
}

}  // namespace holdfast::cli
