#include "cli/mount/command.h"

#include "cli/mount/failure.h"
#include "cli/mount/mount_start.h"
#include "cli/mount/report.h"
#include "cli/mount/unmount.h"

#include <memory>
#include <string>

#include <CLI/CLI.hpp>

namespace holdfast::cli {

void register_mount(CLI::App& app, int& exit_code) {
  auto arguments = std::make_shared<MountArguments>();
  auto* command = app.add_subcommand("mount", "Mount an NFS export or a directory");
  command
      ->add_option("source", arguments->source,
                   "nfs://server[:port]/export, server:/export, or a directory")
      ->required();
  command->add_option("mountpoint", arguments->mountpoint, "An existing directory")->required();
  command
      ->add_option("-o,--options", arguments->options,
                   "lockd=HOST[:PORT][/HOST[:PORT]...]|unix:PATH|embedded (required), ro, soft, "
                   "timeo=, port=, "
                   "mountport=, rsize=, wsize=, nconnect=, volume_id=UUID, lockd_wait=SECONDS, "
                   "tls_ca=, tls_cert=, tls_key=, token_file=PATH, plain, "
                   "cache=tokens|none, acregmin=, acregmax=, acdirmin=, actimeo=SECONDS, noac, "
                   "owner=UID:GID, identity=UID:GID, umask=, fmask=, dmask=OCTAL, keep_owners, "
                   "log=PATH|journal|stderr, debug, [no]allow_other, nosuid, nodev, noexec")
      ->type_name("OPTION,...")
      ->take_all()
      ->expected(1);
  command->add_flag("-r,--read-only", arguments->read_only, "The same as -o ro");
  command->add_flag("-f,--foreground", arguments->foreground,
                    "Stay in the foreground, log to the terminal");
  command->footer(
      "Exit status: 0 mounted, 1 wrong invocation, 2 system error, 32 mount failure (as "
      "mount(8)).");
  command->callback([arguments, &exit_code] { exit_code = start_mount(*arguments); });
}

void register_unmount(CLI::App& app, int& exit_code) {
  auto arguments = std::make_shared<UnmountArguments>();
  auto* command = app.add_subcommand("unmount", "Unmount, and wait until everything is stored");
  command->alias("umount");
  command->add_option("mountpoint", arguments->mountpoint, "Where it is mounted")->required();
  command->add_flag("-l,--lazy", arguments->lazy,
                    "Detach at once; open files go on until they are closed");
  command->footer("Exit status: 0 unmounted, 2 still writing, 32 not unmounted.");
  command->callback([arguments, &exit_code] { exit_code = unmount(*arguments); });
}

int mount_helper(int argc, const char* const* argv) {
  MountArguments arguments;
  CLI::App app("Mount helper for mount(8): see holdfast(8)", "mount.holdfast");
  bool sloppy = false;
  bool ignored = false;
  std::string ignored_text;
  app.add_option("source", arguments.source)->required();
  app.add_option("mountpoint", arguments.mountpoint)->required();
  app.add_option("-o", arguments.options)->take_all()->expected(1);
  app.add_flag("-s", sloppy, "Ignore unknown options");
  app.add_flag("-f", arguments.fake, "Check only, do not mount");
  app.add_flag("-n", ignored, "No mtab: ignored, there is none");
  app.add_flag("-v", ignored, "Verbose: ignored");
  app.add_flag("-r", arguments.read_only, "Read only");
  app.add_flag("-w", ignored, "Read and write: the default");
  app.add_option("-t", ignored_text, "Type: ignored");
  app.add_option("-N", ignored_text, "Namespace: mount(8) is in it already");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? kExitOk : kExitUsage;
  }
  if (sloppy) arguments.unknown = UnknownOptions::kIgnore;
  return start_mount(arguments);
}

int unmount_helper(int argc, const char* const* argv) {
  UnmountArguments arguments;
  CLI::App app("Helper for umount(8): see mount.holdfast(8)", "umount.fuse.holdfast");
  bool force = false;
  bool ignored = false;
  std::string ignored_text;
  app.add_option("mountpoint", arguments.mountpoint)->required();
  app.add_flag("-l", arguments.lazy, "Detach at once, do not wait");
  app.add_flag("-f", force, "Refused: it would give up what is not stored");
  app.add_flag("-n", ignored, "No mtab: ignored, there is none");
  app.add_flag("-r", ignored, "Read only if busy: ignored");
  app.add_flag("-v", ignored, "Verbose: ignored");
  app.add_option("-t", ignored_text, "Type: ignored");
  app.add_option("-N", ignored_text, "Namespace: umount(8) is in it already");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? kExitOk : kExitUsage;
  }
  if (force) {
    print_failure({kExitUsage, "umount -f would end the mount and lose what is not stored yet",
                   "-l detaches at once and goes on storing; -i -f does it all the same"});
    return kExitUsage;
  }
  return unmount(arguments);
}

}  // namespace holdfast::cli
