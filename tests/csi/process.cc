#include "tests/csi/process.h"

#include "holdfast/base/unique_fd.h"

#include <stdexcept>
#include <utility>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::csi::testing {

Process::Process(std::vector<std::string> command, std::string log)
    : command_(std::move(command)), log_(std::move(log)) {}

void Process::start() {
  end(SIGKILL);
  std::vector<char*> argv;
  for (auto& word : command_)
    argv.push_back(word.data());
  argv.push_back(nullptr);
  const UniqueFd log(::open(log_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  pid_ = ::fork();
  if (pid_ < 0) throw std::runtime_error("fork failed");
  if (pid_ > 0) return;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::dup2(log.get(), STDOUT_FILENO);
  ::dup2(log.get(), STDERR_FILENO);
  ::close_range(3, ~0U, 0);  // a test's open files would keep their mounts busy
  ::execv(argv[0], argv.data());
  ::_exit(127);
}

void Process::end(int signal) {
  if (pid_ <= 0) return;
  ::kill(pid_, signal);
  while (::waitpid(pid_, nullptr, 0) < 0) {
  }
  pid_ = -1;
}

}  // namespace holdfast::csi::testing
