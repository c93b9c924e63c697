// The dir backend keeps the contract, as root with the kernel's handles, and without the privilege
// to open them.

#include "fs/backend/dir/dir_backend.h"
#include "tests/integration/dir/backend_contract.h"

#include <filesystem>

#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace holdfast::fs::testing {
namespace {

class DirEnvironment : public BackendEnvironment {
 public:
  DirEnvironment() {
    std::string pattern = std::filesystem::temp_directory_path() / "holdfast-dir-XXXXXX";
    path_ = ::mkdtemp(pattern.data());
    ::chmod(path_.c_str(), 0777);
  }
  ~DirEnvironment() override {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Result<std::unique_ptr<Backend>> make(boost::asio::io_context& io) override {
    return make_dir_backend(io.get_executor(), path_);
  }
  [[nodiscard]] bool acts_as_caller() const override { return ::geteuid() == 0; }

 private:
  std::string path_;
};

/// Root without CAP_DAC_READ_SEARCH: open_by_handle_at(2) is refused, everything else works.
class WithoutOpenByHandle final : public DirEnvironment {
 public:
  WithoutOpenByHandle() { set_effective(false); }
  ~WithoutOpenByHandle() override { set_effective(true); }
  // Taking on an identity restores the file capabilities on return (capabilities(7), "Effect of
  // user ID changes"), so this environment acts as itself only.
  [[nodiscard]] bool acts_as_caller() const override { return false; }

 private:
  static void set_effective(bool on) {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2]{};
    ::syscall(SYS_capget, &header, data);
    const unsigned bit = 1U << CAP_DAC_READ_SEARCH;
    if (on) {
      data[0].effective |= data[0].permitted & bit;
    } else {
      data[0].effective &= ~bit;
    }
    ::syscall(SYS_capset, &header, data);
  }
};

std::unique_ptr<BackendEnvironment> make_dir_environment() {
  return std::make_unique<DirEnvironment>();
}
std::unique_ptr<BackendEnvironment> make_unprivileged_environment() {
  return std::make_unique<WithoutOpenByHandle>();
}

INSTANTIATE_TEST_SUITE_P(Dir, BackendContract, ::testing::Values(&make_dir_environment));
INSTANTIATE_TEST_SUITE_P(DirWithoutOpenByHandle, BackendContract,
                         ::testing::Values(&make_unprivileged_environment));

}  // namespace
}  // namespace holdfast::fs::testing
