// LD_PRELOAD: wall time of one process jumps when a file says so. CLOCK_REALTIME and what is made
// of it are moved by the number of seconds written in the file named by CLOCK_JUMP_FILE; other
// clocks are left alone.

#include <cstdio>
#include <cstdlib>
#include <ctime>

#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

namespace {
long offset() {
  // Looked at anew each time: rarely called, and the file changes while the process runs.
  const char* path = std::getenv("CLOCK_JUMP_FILE");
  if (path == nullptr) return 0;
  std::FILE* file = std::fopen(path, "re");
  if (file == nullptr) return 0;
  long seconds = 0;
  if (std::fscanf(file, "%ld", &seconds) != 1) seconds = 0;
  std::fclose(file);
  return seconds;
}
}  // namespace

extern "C" int clock_gettime(clockid_t clock, timespec* out) {
  const long status = ::syscall(SYS_clock_gettime, clock, out);
  if (status == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
    out->tv_sec += offset();
  return static_cast<int>(status);
}

extern "C" int gettimeofday(timeval* out, void*) noexcept {
  timespec now{};
  if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
  out->tv_sec = now.tv_sec;
  out->tv_usec = now.tv_nsec / 1000;
  return 0;
}

extern "C" time_t time(time_t* out) noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != nullptr) *out = now.tv_sec;
  return now.tv_sec;
}
