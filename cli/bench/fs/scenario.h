#pragma once
/// What is measured. Every method of a scenario runs in a process of its own, so a scenario keeps
/// nothing from one to the next; what is wrong is thrown (std::runtime_error, for people).

#include "cli/bench/fs/crew.h"
#include "cli/bench/fs/options.h"
#include "cli/bench/fs/place.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace holdfast::bench::fs {

class Scenario {
 public:
  virtual ~Scenario() = default;
  /// Before the first round.
  virtual void prepare() const {}
  /// One round: calls worker.measure() once for each phase.
  virtual void work(Worker& worker) const = 0;
  /// After the last round, `operations` in all. Throws what went wrong unnoticed.
  virtual void judge(std::uint64_t operations) const { (void)operations; }
};

struct Kind {
  std::string name;
  std::string text;  ///< what one operation is
  std::size_t mounts = 1;
  std::size_t workers = 1;
  std::vector<std::string> phases;  ///< names of results; empty: one, `name`
  bool megabytes = false;           ///< an operation is 1 MiB
  std::function<std::unique_ptr<Scenario>(const Place&, const Options&)> make;
};

/// In the order in which they run.
[[nodiscard]] std::vector<Kind> all_kinds();

// Those of one family each.
void add_sqlite_kinds(std::vector<Kind>& all);
void add_writer_kinds(std::vector<Kind>& all);
void add_lock_kinds(std::vector<Kind>& all);
void add_data_kinds(std::vector<Kind>& all);
void add_name_kinds(std::vector<Kind>& all);

/// Throws `what` and errno in words.
[[noreturn]] void fail(const std::string& what);

}  // namespace holdfast::bench::fs
