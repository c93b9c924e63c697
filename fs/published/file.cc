#include "fs/published/file.h"

#include "holdfast/base/unique_fd.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <system_error>
#include <utility>

#include <boost/interprocess/anonymous_shared_memory.hpp>
#include <boost/interprocess/file_mapping.hpp>
#include <boost/interprocess/mapped_region.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace ipc = boost::interprocess;

namespace holdfast::fs::published {
namespace {

/// The file that is open here, whatever has become of its name.
ipc::file_mapping mapping_of(const UniqueFd& file, ipc::mode_t mode) {
  return {fmt::format("/proc/self/fd/{}", file.get()).c_str(), mode};
}

}  // namespace

std::string path_of(std::string_view directory, const Kind& kind, std::string_view connection) {
  return fmt::format("{}/{}-{}", directory, kind.name, connection);
}

std::set<std::string> connections_in(const std::string& directory, const Kind& kind) {
  const std::string prefix = fmt::format("{}-", kind.name);
  std::set<std::string> out;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(directory, failed)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(prefix) || name.size() == prefix.size()) continue;
    if (name.find_first_not_of("0123456789", prefix.size()) != std::string::npos) continue;
    out.insert(name.substr(prefix.size()));
  }
  return out;
}

struct File::Mapped {
  UniqueFd file;  // its flock(2) says that the writer lives
  ipc::mapped_region region;
};

File::File(std::string directory, const Kind& kind)
    : directory_(std::move(directory)), kind_(kind), mapped_(std::make_unique<Mapped>()) {
  failed_ = begin();
  if (failed_) mapped_->file.reset();
  if (mapped_->file) {
    mapped_->region = ipc::mapped_region(mapping_of(mapped_->file, ipc::read_write),
                                         ipc::read_write, 0, kind.size);
  } else {
    mapped_->region = ipc::anonymous_shared_memory(kind.size);
  }
}

ErrorCode File::begin() {
  path_ = fmt::format("{}/{}-new-{}", directory_, kind_.name, ::getpid());
  ::unlink(path_.c_str());
  UniqueFd& file = mapped_->file;
  file.reset(::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (file && ::flock(file.get(), LOCK_EX | LOCK_NB) == 0 &&
      ::ftruncate(file.get(), static_cast<off_t>(kind_.size)) == 0)
    return {};
  return errno_code(errno);
}

File::~File() {
  if (mapped_->file) ::unlink(path_.c_str());
}

void* File::memory() const {
  return mapped_->region.get_address();
}

Head File::head() const {
  Head head{.magic = {}, .version = kind_.version, .pid = static_cast<std::uint32_t>(::getpid())};
  std::copy(kind_.magic.begin(), kind_.magic.end(), head.magic.begin());
  return head;
}

Result<void> File::publish(std::string_view connection) {
  if (failed_) return failed_;
  std::string target = path_of(directory_, kind_, connection);
  if (::rename(path_.c_str(), target.c_str()) != 0) return errno_code(errno);
  path_ = std::move(target);
  return {};
}

struct View::Mapped {
  UniqueFd file;
  ipc::mapped_region region;
};

View::View(std::unique_ptr<Mapped> mapped) : mapped_(std::move(mapped)) {}
View::View(View&&) noexcept = default;
View& View::operator=(View&&) noexcept = default;
View::~View() = default;

std::optional<View> View::open(const std::string& path, const Kind& kind) {
  auto mapped = std::make_unique<Mapped>();
  mapped->file.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  struct stat status {};
  if (!mapped->file || ::fstat(mapped->file.get(), &status) != 0) return std::nullopt;
  // Whoever owns it can cut it short under our eyes, which would end us with SIGBUS.
  if (status.st_uid != 0 && status.st_uid != ::geteuid()) return std::nullopt;
  if (!S_ISREG(status.st_mode) || status.st_size != static_cast<off_t>(kind.size))
    return std::nullopt;
  try {
    mapped->region =
        ipc::mapped_region(mapping_of(mapped->file, ipc::read_only), ipc::read_only, 0, kind.size);
  } catch (const std::exception&) {
    return std::nullopt;
  }
  const Head& head = *static_cast<const Head*>(mapped->region.get_address());
  if (head.magic.back() != '\0' || head.magic.data() != kind.magic || head.version != kind.version)
    return std::nullopt;
  return View(std::move(mapped));
}

const void* View::memory() const {
  return mapped_->region.get_address();
}

bool View::writer_lives() const {
  if (::flock(mapped_->file.get(), LOCK_SH | LOCK_NB) != 0) return true;
  ::flock(mapped_->file.get(), LOCK_UN);
  return false;
}

}  // namespace holdfast::fs::published
