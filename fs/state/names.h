#pragma once
/// Operations by their numbers. Pure.

#include <cstdint>
#include <string_view>

namespace holdfast::fs::state {

/// Of linux/fuse.h: "LOOKUP"; "?" for one that does not come to this file system.
[[nodiscard]] std::string_view operation_name(std::uint32_t opcode);
/// Of RFC 1813, section 3.3: "LOOKUP"; "?".
[[nodiscard]] std::string_view procedure_name(std::uint64_t procedure);
/// The kernel asks for no answer: FORGET, INTERRUPT.
[[nodiscard]] bool is_answered(std::uint32_t opcode);
/// It may take for ever without anything being wrong: SETLKW.
[[nodiscard]] bool may_wait(std::string_view operation);

}  // namespace holdfast::fs::state
