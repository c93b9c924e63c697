#include "tests/support/fuse/mount_process.h"

#include "tests/support/fuse/mounts.h"

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::test {

void enter_private_mounts() {
  static bool entered = false;
  if (entered) return;
  if (::unshare(CLONE_NEWNS) != 0 ||
      ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    throw std::runtime_error("these tests need root");
  entered = true;
}

MountProcess::MountProcess(const std::string& directory, const std::string& lockd,
                           std::uint16_t port)
    : directory_(directory) {
  std::filesystem::create_directories(directory);
  const char* const cache = std::getenv("HOLDFAST_TEST_CACHE");
  const std::string options = "lockd=" + lockd + ",cache=" + (cache ? cache : "none") +
                              ",port=" + std::to_string(port) +
                              ",mountport=20048,log=" + directory + ".log";
  pid_ = ::fork();
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::execl(HOLDFAST, "holdfast", "mount", "-f", "127.0.0.1:/export", directory.c_str(), "-o",
            options.c_str(), nullptr);
    ::_exit(127);
  }
}

MountProcess::~MountProcess() {
  signal_process(pid_, SIGKILL);
  signal_process(pid_, SIGCONT);
  ::waitpid(pid_, nullptr, 0);
  ::umount2(directory_.c_str(), MNT_DETACH);
}

bool MountProcess::mounted() const {
  return eventually([this] {
    std::ifstream table("/proc/self/mounts");
    std::stringstream text;
    text << table.rdbuf();
    return text.str().find(" " + directory_ + " ") != std::string::npos;
  });
}

std::string MountProcess::log() const {
  std::stringstream text;
  text << std::ifstream(directory_ + ".log").rdbuf();
  return text.str();
}

pid_t MountProcess::guardian() const {
  const std::string self = std::to_string(pid_);
  std::ifstream file("/proc/" + self + "/task/" + self + "/children");
  pid_t child = -1;
  file >> child;
  return child;
}

}  // namespace holdfast::test
