#include "cli/torture/arena.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <system_error>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace holdfast::torture {
namespace {
namespace fs = std::filesystem;
using std::literals::operator""s;
using std::literals::operator""ms;

// A name created a moment ago may hide behind a negative entry of another mount's cache; kernel NFS
// keeps those up to a minute, but only for names it has looked up before, and ours are fresh.
constexpr auto kTokenPatience = 5s;

volatile std::sig_atomic_t g_interrupted = 0;

std::string read_text(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}
}  // namespace

bool interrupted() {
  return g_interrupted != 0;
}

void install_interrupt_handler() {
  struct sigaction action {};
  action.sa_handler = [](int) { g_interrupted = 1; };
  for (const int signal : {SIGINT, SIGTERM, SIGHUP})
    ::sigaction(signal, &action, nullptr);
}

std::uint64_t monotonic_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U +
         static_cast<std::uint64_t>(now.tv_nsec);
}

Arena::Arena(const Options& options) : options_(options) {
  void* memory =
      ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw SetupError("no shared memory: " + std::string(strerror(errno)));
  shared_ = new (memory) Shared{};
  make_local_dir();
  try {
    make_work_dirs();
  } catch (...) {
    std::error_code ignored;
    if (!keep_local_) fs::remove_all(local_dir_, ignored);
    throw;
  }
}

Arena::~Arena() {
  std::error_code ignored;
  if (options_.keep.empty()) {
    // In a process of its own: a dead server must not hang the verdict.
    const auto work_dir = work_dirs_.front();
    const pid_t pid = herd_.start([work_dir] {
      // A filesystem with silly rename may show removed files until their last close arrives.
      std::error_code error;
      for (int tries = 0; tries < 50; ++tries) {
        fs::remove_all(work_dir, error);
        if (!error && !fs::exists(work_dir)) return 0;
        std::this_thread::sleep_for(100ms);
      }
      return 1;
    });
    const auto status = wait_end(pid, std::chrono::seconds(options_.patience_s));
    if (!status || *status != 0)
      fmt::print(stderr, "torture: could not remove {}; please do\n", work_dir);
  }
  if (!keep_local_) fs::remove_all(local_dir_, ignored);
  ::munmap(shared_, sizeof(Shared));
}

void Arena::make_local_dir() {
  std::error_code error;
  if (!options_.keep.empty()) {
    local_dir_ = options_.keep;
    keep_local_ = true;
    fs::create_directories(local_dir_, error);
    if (error) throw SetupError("--keep " + local_dir_ + ": " + error.message());
    return;
  }
  auto text = (fs::temp_directory_path(error) / "holdfast-torture-XXXXXX").string();
  if (::mkdtemp(text.data()) == nullptr)
    throw SetupError(text + ": " + std::string(strerror(errno)));
  local_dir_ = text;
}

void Arena::make_work_dirs() {
  const auto name = fmt::format("holdfast-torture-{}-{:x}", ::getpid(), monotonic_ns());
  for (const auto& dir : options_.dirs) {
    std::error_code error;
    const auto full = fs::absolute(dir, error);
    work_dirs_.push_back(((error ? fs::path(dir) : full) / name).string());
  }
  const auto& first = work_dirs_.front();
  // The first touch runs in a child: a mount that hangs shall not hang us.
  const pid_t maker = herd_.start([&] {
    if (::mkdir(first.c_str(), 0700) != 0) return errno;
    std::ofstream token(first + "/token");
    token << name;
    token.close();
    return token ? 0 : EIO;
  });
  const auto status = wait_end(maker, std::chrono::seconds(options_.patience_s));
  if (!status) {
    kill_and_wait(maker);
    throw SetupError(options_.dirs.front() + " does not answer");
  }
  if (*status != 0)
    throw SetupError(fmt::format("cannot create {}: {}", first, strerror(WEXITSTATUS(*status))));
  check_same_directory();
}

void Arena::check_same_directory() {
  const auto name = fs::path(work_dirs_.front()).filename().string();
  for (std::size_t i = 1; i < work_dirs_.size(); ++i) {
    const auto& dir = work_dirs_[i];
    const pid_t looker = herd_.start([&] {
      const auto until = std::chrono::steady_clock::now() + kTokenPatience;
      while (read_text(dir + "/token") != name) {
        if (std::chrono::steady_clock::now() > until) return 1;
        std::this_thread::sleep_for(50ms);
      }
      return 0;
    });
    const auto status = wait_end(looker, std::chrono::seconds(options_.patience_s));
    if (!status) kill_and_wait(looker);
    if (status && *status == 0) continue;
    std::error_code ignored;
    fs::remove_all(work_dirs_.front(), ignored);
    throw SetupError(fmt::format(
        "{} does not show what was written in {}: they are not the same directory. Give the same "
        "directory as seen through each mount",
        options_.dirs[i], options_.dirs.front()));
  }
}

void Arena::begin_mode(const std::string& mode) {
  mode_dir_ = local_dir_ + "/" + mode;
  std::error_code error;
  fs::create_directories(mode_dir_, error);
  if (error) throw SetupError(mode_dir_ + ": " + error.message());
  shared_->ops = 0;
  shared_->busy = 0;
  shared_->tolerated = 0;
  shared_->violations = 0;
  shared_->stop = false;
  for (auto& value : shared_->scratch)
    value = 0;
  for (auto& value : shared_->reports_by_kind)
    value = 0;
}

bool Arena::has_turn(std::size_t dir) const {
  const std::uint32_t turn = shared_->turn;
  return turn == 0 || turn == dir + 1;
}

void Arena::await_turn(std::size_t dir) const {
  while (!shared_->stop && !has_turn(dir))
    std::this_thread::sleep_for(1ms);
}

void Arena::report(const Violation& violation) {
  // One record per write(2), fields end with \x1f, the record with \x1e: texts hold newlines.
  const auto text =
      violation.what + '\x1f' + violation.where + '\x1f' + violation.evidence + '\x1e';
  ++shared_->violations;
  auto& of_kind = shared_->reports_by_kind[std::hash<std::string>{}(violation.what) %
                                           std::size(shared_->reports_by_kind)];
  if (of_kind.fetch_add(1) >= kViolationsKept) return;
  const UniqueFd fd(
      ::open((mode_dir_ + "/violations").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!fd || ::write(fd.get(), text.data(), text.size()) < 0)
    fmt::print(stderr, "torture: violation not logged: {}\n", violation.what);
}

std::vector<Violation> Arena::reported() const {
  std::vector<Violation> out;
  std::istringstream all(read_text(mode_dir_ + "/violations"));
  for (std::string record; std::getline(all, record, '\x1e');) {
    std::istringstream fields(record);
    Violation violation;
    std::getline(fields, violation.what, '\x1f');
    std::getline(fields, violation.where, '\x1f');
    std::getline(fields, violation.evidence, '\x1f');
    out.push_back(std::move(violation));
  }
  return out;
}

void Arena::finish_mode(ModeResult& result) const {
  result.ops = shared_->ops;
  if (const auto times = shared_->busy.load(); times > 0)
    result.notes.push_back(fmt::format("{} times busy, tried again", times));
  if (const auto times = shared_->tolerated.load(); times > 0)
    result.notes.push_back(fmt::format("{} I/O errors tolerated", times));
  result.violations = reported();
  result.violations_dropped = shared_->violations - result.violations.size();
}

std::string Arena::history_path(std::uint32_t worker) const {
  return fmt::format("{}/worker-{}.history", mode_dir_, worker);
}

void Arena::note_worker(std::uint32_t worker, std::size_t dir) const {
  std::ofstream(mode_dir_ + "/workers", std::ios::app) << worker << ' ' << dir << '\n';
}

std::vector<Record> Arena::load_history() const {
  std::vector<Record> out;
  for (const auto& entry : fs::directory_iterator(mode_dir_)) {
    if (entry.path().extension() != ".history") continue;
    const auto bytes = read_text(entry.path().string());
    const auto count = bytes.size() / sizeof(Record);
    if (count == 0) continue;  // a worker that had no turn
    const auto at = out.size();
    out.resize(at + count);
    std::memcpy(out.data() + at, bytes.data(), count * sizeof(Record));
  }
  return out;
}

bool Arena::run_bounded(const std::string& what, const std::function<int()>& body) {
  const pid_t pid = herd_.start(body);
  const auto status = wait_end(pid, std::chrono::seconds(options_.patience_s));
  if (!status) {
    report({what + " hangs", "", what_is_it_doing(pid)});
    kill_and_wait(pid);
    return false;
  }
  if (*status != 0) report({what + " failed", "", fmt::format("wait status {:#x}", *status)});
  return *status == 0;
}

HistoryWriter::HistoryWriter(const Arena& arena, std::uint32_t worker)
    : fd_(::open(arena.history_path(worker).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
                 0600)),
      worker_(worker) {
  if (!fd_) throw std::system_error(errno, std::generic_category(), arena.history_path(worker));
}

void HistoryWriter::add(Event event, std::uint16_t resource, std::uint64_t value, Access access) {
  const Record record{monotonic_ns(), value, worker_, resource, event, access};
  // A lost record would turn into a false verdict: better to stop here.
  if (::write(fd_.get(), &record, sizeof record) != static_cast<ssize_t>(sizeof record))
    throw std::system_error(errno, std::generic_category(), "history");
}

}  // namespace holdfast::torture
