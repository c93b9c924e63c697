#pragma once
/// `holdfast mount`, `holdfast unmount`, and the helpers of mount(8) and umount(8).

namespace CLI {
class App;
}

namespace holdfast::cli {

/// Adds the sub-commands. When one was chosen, parsing runs it and sets `exit_code`, which must
/// outlive the parse. The process must have no threads yet.
void register_mount(CLI::App& app, int& exit_code);
void register_unmount(CLI::App& app, int& exit_code);

/// mount.holdfast SOURCE DIR [-sfnv] [-N namespace] [-o options] [-t type] (mount(8), "EXTERNAL
/// HELPERS").
[[nodiscard]] int mount_helper(int argc, const char* const* argv);
/// umount.fuse.holdfast DIR [-flnrv] [-N namespace] [-t type] (umount(8), "EXTERNAL HELPERS"):
/// waits, as `holdfast unmount` does, until everything is stored. Debian 12's umount(8) calls it
/// for -f only, which is refused.
[[nodiscard]] int unmount_helper(int argc, const char* const* argv);

}  // namespace holdfast::cli
