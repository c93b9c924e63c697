#pragma once
/// Reads what proc(5) says of processes.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <sys/types.h>

namespace holdfast::fs {

/// "/proc/PROCESS/FILE"; a thread's number will do.
[[nodiscard]] std::string proc_path(pid_t process, std::string_view file);
/// The number after `name` ("Tgid:") at the start of a line; nothing if there is none.
[[nodiscard]] std::optional<std::uint64_t> proc_field(const std::string& path,
                                                      std::string_view name);
/// The process that thread `tid` belongs to; nothing if it has ended or cannot be seen.
[[nodiscard]] std::optional<pid_t> process_of(pid_t tid);
/// The process of thread `tid` has ended, or is ending and has no files any more: nobody can say
/// which ones it had.
[[nodiscard]] bool is_ending(pid_t tid);

}  // namespace holdfast::fs
