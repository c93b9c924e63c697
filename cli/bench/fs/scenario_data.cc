// Streams, and small reads at random places, of one file.

#include "cli/bench/fs/scenario.h"
#include "holdfast/base/unique_fd.h"

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <random>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace holdfast::bench::fs {
namespace {

constexpr std::size_t kBlock = 1 << 20;
constexpr std::size_t kPage = 4096;

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};
using Buffer = std::unique_ptr<char, Free>;

Buffer aligned_buffer(std::size_t size) {
  auto* const memory = static_cast<char*>(std::aligned_alloc(kPage, size));
  if (memory == nullptr) throw std::bad_alloc();
  std::fill_n(memory, size, 'z');
  return Buffer(memory);
}

/// A file of whole blocks, gone around for as long as it takes.
class Stream {
 public:
  Stream(const std::string& path, std::size_t blocks)
      : path_(path),
        fd_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)),
        blocks_(blocks),
        buffer_(aligned_buffer(kBlock)) {
    if (!fd_) fail(path);
  }
  /// The last block of each time around is followed by fsync.
  void write_next() {
    const ssize_t count = ::pwrite(fd_.get(), buffer_.get(), kBlock, offset());
    if (count != static_cast<ssize_t>(kBlock)) fail(path_);
    if (turn() && ::fsync(fd_.get()) != 0) fail(path_);
  }
  void read_next() {
    const ssize_t count = ::pread(fd_.get(), buffer_.get(), kBlock, offset());
    if (count != static_cast<ssize_t>(kBlock)) fail(path_);
    (void)turn();
  }
  void read_page(std::size_t page) {
    const auto at = static_cast<off_t>(page * kPage);
    if (::pread(fd_.get(), buffer_.get(), kPage, at) != static_cast<ssize_t>(kPage)) fail(path_);
  }
  /// The file is not in this machine's page cache any more; it must be on the storage.
  void forget_pages() {
    if (::posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_DONTNEED) != 0) fail(path_);
  }
  /// False: the file system has none.
  bool bypass_cache() {
    UniqueFd direct(::open(path_.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC));
    if (!direct) return false;
    fd_ = std::move(direct);
    return true;
  }
  [[nodiscard]] bool at_start() const { return next_ == 0; }
  [[nodiscard]] std::size_t pages() const { return blocks_ * (kBlock / kPage); }

 private:
  [[nodiscard]] off_t offset() const { return static_cast<off_t>(next_ * kBlock); }
  bool turn() {
    next_ = (next_ + 1) % blocks_;
    return next_ == 0;
  }

  std::string path_;
  UniqueFd fd_;
  std::size_t blocks_;
  std::size_t next_ = 0;
  Buffer buffer_;
};

void write_all(Stream& stream) {
  do {
    stream.write_next();
  } while (!stream.at_start());
}
void read_all(Stream& stream) {
  do {
    stream.read_next();
  } while (!stream.at_start());
}

class Streams final : public Scenario {
 public:
  Streams(const Place& place, std::size_t blocks) : path_(place.path("stream")), blocks_(blocks) {}
  void work(Worker& worker) const override {
    {
      Stream stream(path_, blocks_);
      worker.measure(blocks_, [&] { stream.write_next(); });
    }
    {
      Stream stream(path_, blocks_);
      stream.forget_pages();
      worker.measure(blocks_, [&] { stream.read_next(); });
    }
    Stream stream(path_, blocks_);
    read_all(stream);
    worker.measure(0, [&] { stream.read_next(); });
  }

 private:
  std::string path_;
  std::size_t blocks_;
};

class RandomReads final : public Scenario {
 public:
  RandomReads(const Place& place, std::size_t blocks)
      : path_(place.path("random")), blocks_(blocks) {}
  void prepare() const override {
    Stream stream(path_, blocks_);
    write_all(stream);
  }
  void work(Worker& worker) const override {
    Stream stream(path_, blocks_);
    std::minstd_rand random(1);
    read_all(stream);
    worker.measure(0, [&] { stream.read_page(random() % stream.pages()); });
    const bool direct = stream.bypass_cache();
    if (!direct) worker.note("random-direct: no O_DIRECT here, pages are dropped before each read");
    worker.measure(0, [&] {
      if (!direct) stream.forget_pages();
      stream.read_page(random() % stream.pages());
    });
  }

 private:
  std::string path_;
  std::size_t blocks_;
};

}  // namespace

void add_data_kinds(std::vector<Kind>& all) {
  Kind streams;
  streams.name = "stream";
  streams.text = "1 MiB, from end to end of a file";
  streams.phases = {"stream-write", "stream-read-cold", "stream-read-cached"};
  streams.megabytes = true;
  streams.make = [](const Place& place, const Options& options) {
    return std::make_unique<Streams>(place, options.megabytes);
  };
  all.push_back(std::move(streams));
  Kind reads;
  reads.name = "random";
  reads.text = "4 KiB read at a random place";
  reads.phases = {"random-cached", "random-direct"};
  reads.make = [](const Place& place, const Options& options) {
    return std::make_unique<RandomReads>(place, options.megabytes);
  };
  all.push_back(std::move(reads));
}

}  // namespace holdfast::bench::fs
