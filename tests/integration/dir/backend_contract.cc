#include "tests/integration/dir/backend_contract.h"

#include <span>

namespace asio = boost::asio;

namespace holdfast::fs::testing {

void BackendContract::SetUp() {
  environment_ = GetParam()();
  ASSERT_NE(environment_, nullptr);
  auto made = environment_->make(io_);
  ASSERT_TRUE(made) << made.error().message();
  backend_ = std::move(*made);
  auto root = sync(backend_->root());
  ASSERT_TRUE(root) << root.error().message();
  root_ = root->handle;
}

void BackendContract::TearDown() {
  if (backend_) stop(*backend_);
  backend_.reset();
  io_.poll();
}

void BackendContract::stop(Backend& backend) {
  bool done = false;
  asio::co_spawn(io_, backend.stop(), [&](std::exception_ptr) { done = true; });
  spin(done);
}

void BackendContract::spin(const bool& done) {
  io_.restart();
  while (!done) {
    if (io_.run_one() == 0) throw std::logic_error("the loop ran dry before the call was answered");
  }
}

std::unique_ptr<Backend> BackendContract::another_mount() {
  auto made = environment_->make(io_);
  if (!made) throw std::runtime_error("second mount: " + made.error().message());
  return std::move(*made);
}

Entry BackendContract::make_file(const std::string& name, std::uint32_t mode) {
  auto made =
      sync(backend().create(root_user_, root_, name, CreateMode::kExclusive, with_mode(mode)));
  if (!made) throw std::runtime_error("create " + name + ": " + made.error().message());
  return *made;
}

Entry BackendContract::make_directory(const std::string& name, std::uint32_t mode) {
  auto made = sync(backend().mkdir(root_user_, root_, name, with_mode(mode)));
  if (!made) throw std::runtime_error("mkdir " + name + ": " + made.error().message());
  return *made;
}

void BackendContract::write_all(const FileHandle& file, std::uint64_t offset,
                                std::string_view bytes) {
  std::span<const std::uint8_t> rest(reinterpret_cast<const std::uint8_t*>(bytes.data()),
                                     bytes.size());
  while (!rest.empty()) {
    const auto piece = rest.first(std::min<std::size_t>(rest.size(), backend().limits().write_max));
    auto wrote = sync(backend().write(root_user_, file, offset, piece, Stability::kUnstable));
    ASSERT_TRUE(wrote) << wrote.error().message();
    ASSERT_GT(wrote->count, 0U);
    offset += wrote->count;
    rest = rest.subspan(wrote->count);
  }
}

std::string BackendContract::read_all(const FileHandle& file, std::uint64_t offset,
                                      std::uint32_t count) {
  auto read = sync(backend().read(root_user_, file, offset, count));
  if (!read) throw std::runtime_error("read: " + read.error().message());
  return {read->data.begin(), read->data.end()};
}

Attributes BackendContract::attributes(const FileHandle& file) {
  auto got = sync(backend().getattr(root_user_, file));
  if (!got) throw std::runtime_error("getattr: " + got.error().message());
  return *got;
}

int BackendContract::lookup_errno(const FileHandle& directory, const std::string& name) {
  return errno_of(sync(backend().lookup(root_user_, directory, name)));
}

std::vector<DirectoryEntry> BackendContract::list(const FileHandle& directory,
                                                  std::uint32_t bytes_max) {
  std::vector<DirectoryEntry> out;
  std::uint64_t cookie = 0;
  std::uint64_t verifier = 0;
  while (true) {
    auto page = sync(backend().readdir(root_user_, directory, cookie, verifier, bytes_max));
    if (!page) throw std::runtime_error("readdir: " + page.error().message());
    if (page->entries.empty() && !page->eof) throw std::runtime_error("readdir makes no progress");
    for (auto& entry : page->entries) {
      cookie = entry.cookie;
      out.push_back(std::move(entry));
    }
    verifier = page->verifier;
    if (page->eof) return out;
  }
}

}  // namespace holdfast::fs::testing
