#include "lockd/access_command.h"

#include "lockd/access/certificates.h"
#include "lockd/credentials.h"
#include "lockd/init_command.h"
#include "lockd/new_file.h"

#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace holdfast::lockd {
namespace {

// Each lockd has a list of its own: which of them will be the active one nobody knows.
std::string takes_effect(const std::string& list) {
  return fmt::format(
      "lockd reads it when told: systemctl reload holdfast-lockd (or SIGHUP). Several lockds on an "
      "etcd: copy {} to each of them, and tell each\n",
      list);
}

struct Wishes {
  std::string directory = kDefaultTlsDirectory;
  std::string name;
  std::vector<std::string> volumes;
  std::string certificate_to;
  [[nodiscard]] std::string list() const { return directory + "/access"; }
};

int fail(const std::string& what, const std::string& hint = {}) {
  std::cerr << "holdfast-lockd access: " << what << '\n';
  if (!hint.empty()) std::cerr << "hint: " << hint << '\n';
  return kExitStart;
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

Result<void> write_certificate(const Wishes& wishes) {
  const CertifiedKey authority{read_file(wishes.directory + "/ca.pem"),
                               read_file(wishes.directory + "/ca.key")};
  const CertificateWish wish{
      .use = CertificateWish::Use::kClient, .common_name = wishes.name, .hosts = {}};
  const CertifiedKey made = make_certificate(authority, wish);
  const std::string base = wishes.certificate_to + "/" + wishes.name;
  if (auto written = write_new_file(base + ".key", made.key); !written) return written;
  return write_new_file(base + ".pem", made.certificate);
}

int add(const Wishes& wishes) {
  auto list = read_access(wishes.list());
  if (!list) return fail(list.error().what, list.error().hint);
  const bool certificate = !wishes.certificate_to.empty();
  Credential fresh;
  fresh.name = wishes.name;
  const std::string token = make_token();
  if (certificate) {
    fresh.kind = Credential::Kind::kCertificate;
  } else {
    fresh.hash = hash_of(token);
  }
  for (const std::string& volume : wishes.volumes)
    if (const auto wrong = parse_volumes(volume, fresh); !wrong.empty())
      return fail("--volume " + volume + ": " + wrong);
  if (const auto wrong = list->add(std::move(fresh)); !wrong.empty()) return fail(wrong);
  if (certificate) {
    if (const auto written = write_certificate(wishes); !written)
      return fail(fmt::format("{}/{}.pem, .key: {}", wishes.certificate_to, wishes.name,
                              written.error().message()));
  }
  if (const auto written = replace_file(wishes.list(), list->text()); !written)
    return fail(wishes.list() + ": " + written.error().message());
  if (certificate) {
    std::cerr << fmt::format("made {0}/{1}.pem and {0}/{1}.key: mount with -o tls_cert=,tls_key=\n",
                             wishes.certificate_to, wishes.name);
  } else {
    std::cout << token << '\n';
    std::cerr << "This is the only time it is shown; it belongs into /etc/holdfast/token of a "
                 "node, mode 0600, or another file: mount with -o token_file=\n";
  }
  std::cerr << takes_effect(wishes.list());
  return kExitClean;
}

int show(const Wishes& wishes) {
  const auto list = read_access(wishes.list());
  if (!list) return fail(list.error().what, list.error().hint);
  for (const Credential& one : list->all()) {
    const bool token = one.kind == Credential::Kind::kToken;
    std::cout << fmt::format("{:<12} {:<24} {}\n", token ? "token" : "certificate", one.name,
                             volumes_text(one));
  }
  return kExitClean;
}

int remove(const Wishes& wishes) {
  auto list = read_access(wishes.list());
  if (!list) return fail(list.error().what, list.error().hint);
  if (!list->remove(wishes.name)) return fail("there is no '" + wishes.name + "'");
  if (const auto written = replace_file(wishes.list(), list->text()); !written)
    return fail(wishes.list() + ": " + written.error().message());
  std::cerr << "Its mounts lose their connection then, are not let in again, and lose their locks "
               "as silent mounts do.\n"
            << takes_effect(wishes.list());
  return kExitClean;
}

using Action = int (*)(const Wishes&);

CLI::App* subcommand(CLI::App& parent, const char* name, const char* what, Action action,
                     const std::shared_ptr<Wishes>& wishes, std::function<int()>& command) {
  CLI::App* out = parent.add_subcommand(name, what);
  out->add_option("--dir", wishes->directory, "Where 'holdfast-lockd init' has made its files")
      ->capture_default_str();
  out->callback([wishes, action, &command] {
    command = [wishes, action] {
      try {
        return action(*wishes);
      } catch (const std::exception& error) {
        return fail(error.what());
      }
    };
  });
  return out;
}

}  // namespace

void register_access(CLI::App& app, std::function<int()>& command) {
  const auto wishes = std::make_shared<Wishes>();
  CLI::App* access = app.add_subcommand("access", "Who may use which volumes");
  access->configurable(false);
  access->require_subcommand(1);
  access->footer("Exit codes: 0 done, 1 not done, 2 wrong usage.");  // of those below, too
  CLI::App* add_app = subcommand(*access, "add", "A new token, printed once; or a certificate",
                                 &add, wishes, command);
  add_app->add_option("NAME", wishes->name, "For the log and for 'remove'")->required();
  add_app
      ->add_option("--volume", wishes->volumes,
                   "What it is good for: a volume's id (the id= in .holdfast-volume on the "
                   "export); repeatable. *: all")
      ->required();
  add_app->add_option("--certificate", wishes->certificate_to,
                      "Make a client certificate instead of a token: NAME.pem and NAME.key in this "
                      "directory");
  subcommand(*access, "list", "What there is; of tokens only the names", &show, wishes, command);
  CLI::App* remove_app = subcommand(*access, "remove", "Take one back", &remove, wishes, command);
  remove_app->add_option("NAME", wishes->name)->required();
}

}  // namespace holdfast::lockd
