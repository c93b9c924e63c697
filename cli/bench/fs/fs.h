#pragma once
/// `holdfast bench fs DIR [DIR2 [DIR3]]`: what a file system costs its users, and how many calls
/// that takes, beside other file systems in the same run.

namespace CLI {
class App;
}

namespace holdfast::bench::fs {

/// Adds the sub-command to `bench`. When it was chosen, parsing runs it and sets `exit_code`, which
/// must outlive the parse.
void register_fs(CLI::App& bench, int& exit_code);

}  // namespace holdfast::bench::fs
