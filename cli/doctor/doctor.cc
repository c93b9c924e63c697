#include "cli/doctor/doctor.h"

#include "cli/doctor/gather.h"
#include "cli/doctor/judge.h"
#include "cli/mount/settings.h"
#include "cli/mount/source.h"
#include "holdfast/base/log.h"

#include <cerrno>
#include <iostream>
#include <memory>
#include <optional>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace holdfast::cli {
namespace {

bool is_path(const std::string& target) {
  return target.starts_with("/") || target.starts_with(".");
}

std::optional<wire::Address> lockd_address(const DoctorOptions& options, std::ostream& errors,
                                           bool& wrong) {
  std::string text = options.lockd;
  if (text.empty() && is_path(options.target)) text = lockd_of_mount(options.target);
  if (text.empty()) return std::nullopt;
  const auto address = wire::parse_address(text);
  if (address) return *address;
  errors << fmt::format("holdfast: {} is no address of lockd: HOST[:PORT]\n", text);
  wrong = true;
  return std::nullopt;
}

// The export behind a mount; nothing if it is no NFS.
std::optional<NfsSource> export_of(const std::string& source) {
  const auto parsed = parse_source(source);
  if (!parsed) return std::nullopt;
  const auto* nfs = std::get_if<NfsSource>(&*parsed);
  return nfs == nullptr ? std::nullopt : std::optional(*nfs);
}

LockdFacts facts_of_lockd(const wire::Address& address, const MountOptions& options,
                          std::optional<VolumeId> volume) {
  const auto credentials = credentials_for(options, {address});
  if (credentials) return gather_lockd(address, *credentials, volume);
  LockdFacts facts;
  facts.address = wire::to_string(address);
  facts.error = EINVAL;
  facts.error_text = credentials.error().what;
  facts.hint = credentials.error().hint;
  return facts;
}

}  // namespace

int run_doctor(const DoctorOptions& options, std::ostream& out, std::ostream& errors) {
  MountOptions mount_options;
  for (const std::string& text : options.mount_options) {
    const auto parsed = parse_options(text, UnknownOptions::kRefuse, mount_options);
    if (parsed) continue;
    errors << fmt::format("holdfast: {}\n", parsed.error().what);
    return kDoctorUsage;
  }
  bool wrong = false;
  const auto lockd = lockd_address(options, errors, wrong);
  if (wrong) return kDoctorUsage;
  Facts facts;
  facts.node = gather_node();
  std::optional<NfsSource> source;
  if (is_path(options.target)) {
    facts.mount = gather_mount(options.target);
    const bool remote = facts.mount && (facts.mount->type == "nfs" || facts.mount->type == "nfs4" ||
                                        facts.mount->type == "fuse.holdfast");
    if (remote) source = export_of(facts.mount->source);
  } else {
    source = export_of(options.target);
    if (!source) {
      errors << fmt::format("holdfast: {} is neither a path nor SERVER:/EXPORT\n", options.target);
      return kDoctorUsage;
    }
  }
  if (source) facts.server = gather_export(*source, mount_options);
  if (lockd)
    facts.lockd =
        facts_of_lockd(*lockd, mount_options, facts.server ? facts.server->volume : std::nullopt);
  if (!options.peer.empty()) facts.pair = gather_pair(options.target, options.peer);
  const auto findings = judge(facts);
  out << (options.json ? findings_json(findings) : findings_text(findings));
  return any_problem(findings) ? kDoctorProblem : kDoctorFine;
}

void register_doctor(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<DoctorOptions>();
  auto* command = app.add_subcommand(
      "doctor", "What is wrong with a mount or an export, what it means, and what to do");
  command->add_option("target", options->target, "A path on a mount, or SERVER:/EXPORT")
      ->required();
  command->add_option(
      "-o,--options", options->mount_options,
      "As for holdfast mount: port=, mountport=, volume_id=; with --lockd or a mount "
      "tls_ca=, tls_cert=, tls_key=, token_file=, plain");
  command->add_option("--lockd", options->lockd,
                      "lockd to try, HOST[:PORT]. Default: the one of the mount");
  command->add_option("--peer", options->peer,
                      "The directory TARGET, mounted a second time: tries whether locks, names and "
                      "bytes hold between the two");
  command->add_flag("--json", options->json, "One JSON object");
  command->footer("Exit status: 0 nothing is wrong, 1 there are problems, 2 wrong usage.");
  command->callback([options, &exit_code] {
    log::Options quiet;
    quiet.level = log::Level::kError;
    log::configure(quiet);
    exit_code = run_doctor(*options, std::cout, std::cerr);
  });
}

}  // namespace holdfast::cli
