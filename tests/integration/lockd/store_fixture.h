#pragma once
/// What the tests of lockd's store share: a directory, sample records, what a store holds as text.

#include "lockd/store/contents.h"
#include "lockd/store/sqlite_file.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <thread>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

namespace holdfast::lockd::testing {

using std::chrono::milliseconds;
inline constexpr milliseconds kTtl{10'000};

class Directory {
 public:
  Directory() {
    // In memory where there is such a place: thousands of syncs, and none is meant for the disk.
    const bool memory = ::access("/dev/shm", W_OK) == 0;
    const std::filesystem::path base = memory ? "/dev/shm" : std::filesystem::temp_directory_path();
    std::string pattern = (base / "store-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    path_ = pattern;
  }
  ~Directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  [[nodiscard]] std::string operator/(const char* name) const { return (path_ / name).string(); }
  [[nodiscard]] std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

inline std::string read_file(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}
inline void write_file(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

inline SessionRecord sample_session(std::uint64_t id) {
  SessionRecord record;
  record.session = {id * 0x9e3779b97f4a7c15ULL};  // as high as real ones: random 64-bit numbers
  record.secret.fill(static_cast<std::uint8_t>(id));
  record.volume.fill(7);
  record.volume_name = "nas:/export/" + std::string(id % 40, 'v');
  record.node = std::string("node\0 with \"quotes\" ", 20) + std::to_string(id);
  record.mountpoint = "/mnt";
  record.pid = static_cast<std::uint32_t>(id);
  record.address = "192.0.2.1";
  record.write_life = milliseconds(id * 100);
  return record;
}

/// Deterministic, of all kinds, often about the same few sessions.
inline StoreChanges sample_changes(std::uint64_t step) {
  std::minstd_rand random(static_cast<std::uint32_t>(step + 1));
  StoreChanges out;
  const auto count = 1 + random() % 6;
  for (std::uint64_t i = 0; i < count; ++i) {
    SessionRecord record = sample_session(1 + random() % 8);
    record.pid += static_cast<std::uint32_t>(step);
    record.quiet = static_cast<Quiet>(random() % 3);
    record.breaks.everything = random() % 8 == 0;
    for (auto files = random() % 4; files > 1 && !record.breaks.everything; --files)
      record.breaks.files.insert(FileKey{random(), ~std::uint64_t{step} - files});
    const LossNumber number{1 + random() % 5};
    switch (random() % 8) {
      case 0:
        out.emplace_back(EndSessionRecord{record.session});
        break;
      case 1:
        out.emplace_back(DropSession{record.session});
        break;
      case 2:
      case 3:
        out.emplace_back(
            PutLoss{record.session, FileLoss{number, FileKey{step, ~std::uint64_t{step}}}});
        break;
      case 4:
        out.emplace_back(DropLosses{record.session, number});
        break;
      case 5:
        if (step % 7 == 0) out.emplace_back(Settled{});
        break;
      default:
        out.emplace_back(PutSession{record});
    }
  }
  return out;
}

/// Everything but the epoch.
inline std::string text_of(const Recovered& recovered) {
  std::string out =
      fmt::format("empty={} ttl={}\n", recovered.empty, recovered.lease_ttl_max.count());
  for (const SessionRecord& one : recovered.sessions) {
    out += fmt::format("{:x} {} {} {} {} {} {} {} {} {} {} {}", one.session.value, one.secret,
                       one.volume, one.volume_name, one.node, one.mountpoint, one.pid, one.address,
                       one.write_life.count(), one.ended, static_cast<int>(one.quiet),
                       one.breaks.everything);
    for (const FileKey& file : one.breaks.files)
      out += fmt::format(" break {:x} {:x}", file.fileid, file.handle_hash);
    for (const FileLoss& loss : one.losses) {
      out += fmt::format(" loss {} {:x} {:x}", loss.number.value, loss.file.fileid,
                         loss.file.handle_hash);
    }
    out += '\n';
  }
  return out;
}

/// Opens and begins a life, as a starting lockd does.
inline boost::system::result<Recovered, wire::StartFailure> start(const std::string& path,
                                                                  std::unique_ptr<SqliteFile>& file,
                                                                  std::uint64_t wall_seconds = 0,
                                                                  milliseconds lease_ttl = kTtl) {
  auto opened = SqliteFile::open(path);
  if (!opened) return opened.error();
  file = *std::move(opened);
  return file->begin_life(wall_seconds, lease_ttl);
}
inline boost::system::result<Recovered, wire::StartFailure> start(const std::string& path) {
  std::unique_ptr<SqliteFile> file;
  return start(path, file);
}

/// A failure for people: what, and what to do. Returned for further looks.
inline std::string refusal(const boost::system::result<Recovered, wire::StartFailure>& started) {
  if (started) return "(it started)";
  EXPECT_FALSE(started.error().hint.empty()) << started.error().what;
  EXPECT_TRUE(started.error().code);
  return started.error().what + "\n" + started.error().hint;
}

/// On a thread whose mounts nobody else sees; they go with it. False: not allowed here.
template <class Work>
bool with_private_mounts(Work work) {
  bool allowed = false;
  std::thread thread([&] {
    if (::unshare(CLONE_NEWNS) != 0) return;
    if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return;
    allowed = true;
    work();
  });
  thread.join();
  return allowed;
}

}  // namespace holdfast::lockd::testing
