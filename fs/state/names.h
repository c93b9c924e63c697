#pragma once
/// Operations by their numbers. Pure.

#include <cstdint>
#include <span>
#include <string_view>

namespace holdfast::fs::state {

struct Operation {
  std::uint32_t opcode = 0;  ///< of linux/fuse.h
  std::string_view name;     ///< "LOOKUP"
};
/// Those that come to this file system. Others the kernel tries once, and learns that they are not
/// there.
[[nodiscard]] std::span<const Operation> operations();
/// "?" for one of the others.
[[nodiscard]] std::string_view operation_name(std::uint32_t opcode);
/// Of RFC 1813, section 3.3: "LOOKUP"; "?".
[[nodiscard]] std::string_view procedure_name(std::uint64_t procedure);
/// Not so: FORGET, INTERRUPT and others, of which the kernel wants no answer.
[[nodiscard]] bool is_answered(std::uint32_t opcode);
/// It may take for ever without anything being wrong: SETLKW.
[[nodiscard]] bool may_wait(std::string_view operation);

}  // namespace holdfast::fs::state
