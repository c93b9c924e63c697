// Many small files: created, looked at, synced, removed; and a tree as version control looks
// through it.

#include "cli/bench/fs/scenario.h"
#include "holdfast/base/unique_fd.h"

#include <memory>
#include <string_view>

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace holdfast::bench::fs {
namespace {

class Files final : public Scenario {
 public:
  Files(const Place& place, std::size_t count) : directory_(place.path("files")), count_(count) {}
  void prepare() const override {
    if (::mkdir(directory_.c_str(), 0755) != 0) fail(directory_);
  }
  void work(Worker& worker) const override {
    std::size_t i = 0;
    const auto next = [&] { return fmt::format("{}/{}", directory_, i++ % count_); };
    worker.measure(count_, [&] {
      const std::string path = next();
      const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
      if (!fd) fail(path);
    });
    worker.measure(count_, [&] {
      const std::string path = next();
      struct stat status {};
      if (::stat(path.c_str(), &status) != 0) fail(path);
    });
    worker.measure(count_, [&] {  // what a database does with all of its files after a crash
      const std::string path = next();
      const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
      if (!fd || ::fsync(fd.get()) != 0) fail(path);
    });
    worker.measure(count_, [&] {
      const std::string path = next();
      if (::unlink(path.c_str()) != 0) fail(path);
    });
  }

 private:
  std::string directory_;
  std::size_t count_;
};

class Walk final : public Scenario {
 public:
  static constexpr std::size_t kFilesEach = 20;  // as source trees have, about

  Walk(const Place& place, std::size_t files)
      : root_(place.path("tree")),
        directories_(std::max<std::size_t>(files / kFilesEach / 10, 1)) {}
  void prepare() const override {
    if (::mkdir(root_.c_str(), 0755) != 0) fail(root_);
    for (std::size_t i = 0; i < directories_; ++i) {
      const std::string directory = fmt::format("{}/{}", root_, i);
      if (::mkdir(directory.c_str(), 0755) != 0) fail(directory);
      for (std::size_t k = 0; k < kFilesEach; ++k) {
        const std::string path = fmt::format("{}/{}", directory, k);
        if (!UniqueFd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644))) fail(path);
      }
    }
  }
  void work(Worker& worker) const override {
    worker.measure(0, [&] { look(root_); });
  }

 private:
  struct Close {
    void operator()(DIR* directory) const { ::closedir(directory); }
  };
  static void look(const std::string& path) {
    const std::unique_ptr<DIR, Close> directory(::opendir(path.c_str()));
    if (!directory) fail(path);
    while (const dirent* entry = ::readdir(directory.get())) {
      const std::string_view name = entry->d_name;
      if (name == "." || name == "..") continue;
      const std::string inside = fmt::format("{}/{}", path, name);
      struct stat status {};
      if (::lstat(inside.c_str(), &status) != 0) fail(inside);
      if (S_ISDIR(status.st_mode)) look(inside);
    }
  }

  std::string root_;
  std::size_t directories_;
};

}  // namespace

void add_name_kinds(std::vector<Kind>& all) {
  Kind files;
  files.name = "files";
  files.text = "one of --files files in a directory is created, looked at, synced, removed";
  files.phases = {"files-create", "files-stat", "files-sync", "files-unlink"};
  files.make = [](const Place& place, const Options& options) {
    return std::make_unique<Files>(place, options.files);
  };
  all.push_back(std::move(files));
  Kind walk;
  walk.name = "walk";
  walk.text = fmt::format("readdir and lstat of a tree of --files/10 files, {} in each directory",
                          Walk::kFilesEach);
  walk.make = [](const Place& place, const Options& options) {
    return std::make_unique<Walk>(place, options.files);
  };
  all.push_back(std::move(walk));
}

}  // namespace holdfast::bench::fs
