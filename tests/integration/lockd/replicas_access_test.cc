// How a lockd gets into etcd: TLS, users, and what it says when it does not.
#include "tests/support/etcd/etcd_cluster.h"
#include "tests/support/etcd/replica_process.h"

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast {
namespace {

using support::EtcdCluster;
using support::ReplicaProcess;
using ::testing::HasSubstr;

class Directory {
 public:
  Directory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "access-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    path_ = pattern;
  }
  ~Directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  [[nodiscard]] std::string operator/(const std::string& name) const {
    return (path_ / name).string();
  }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / name) << text;
    return *this / name;
  }

 private:
  std::filesystem::path path_;
};

void run(const std::string& command) {
  ASSERT_EQ(std::system((command + " >/dev/null 2>&1").c_str()), 0) << command;
}

// NAME.pem and NAME.key, signed by CA.pem; for 127.0.0.1.
void make_certificate(const Directory& at, const std::string& name, const std::string& ca) {
  run(fmt::format(
      "openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN={0} "
      "-keyout {1} -out {2}.csr",
      name, at / (name + ".key"), at / name));
  at.write("san", "subjectAltName=IP:127.0.0.1\n");
  run(
      fmt::format("openssl x509 -req -in {0}.csr -CA {1} -CAkey {2} -CAcreateserial -days 2 "
                  "-extfile {3} -out {0}.pem",
                  at / name, at / (ca + ".pem"), at / (ca + ".key"), at / "san"));
}

void make_ca(const Directory& at, const std::string& name) {
  run(fmt::format(
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
      "-subj /CN={0} -keyout {1} -out {2}",
      name, at / (name + ".key"), at / (name + ".pem")));
}

int exit_code(ReplicaProcess& lockd) {
  const int status = lockd.wait();
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(ReplicasAccess, OverTlsWithCertificatesOfBothSides) {
  Directory files;
  make_ca(files, "ca");
  make_ca(files, "stranger");
  make_certificate(files, "etcd", "ca");
  make_certificate(files, "lockd", "ca");
  EtcdCluster etcd(support::EtcdSetup{
      .members = 1,
      .arguments = {"--cert-file=" + (files / "etcd.pem"), "--key-file=" + (files / "etcd.key"),
                    "--trusted-ca-file=" + (files / "ca.pem"), "--client-cert-auth"}});
  const std::vector<std::string> own{"--etcd-cert", files / "lockd.pem", "--etcd-key",
                                     files / "lockd.key"};
  auto with = [&](const std::string& ca) {
    std::vector<std::string> words{"--etcd-ca", files / ca};
    words.insert(words.end(), own.begin(), own.end());
    return words;
  };
  ReplicaProcess lockd(etcd.url("/tls"), with("ca.pem"));
  lockd.start();
  lockd.wait_leading();
  // An etcd that cannot show that it is the one is not spoken to.
  ReplicaProcess misled(etcd.url("/tls"), with("stranger.pem"));
  misled.start();
  misled.wait_said("etcd does not answer", 1);
  EXPECT_EQ(misled.said("the active one is"), 0u);
  // Nor does etcd speak with one that shows nothing.
  ReplicaProcess anonymous(etcd.url("/tls"), {"--etcd-ca", files / "ca.pem"});
  anonymous.start();
  anonymous.wait_said("etcd does not answer", 1);
  EXPECT_EQ(anonymous.said("the active one is"), 0u);
  ReplicaProcess missing(etcd.url("/tls"), {"--etcd-ca", files / "none.pem"});
  missing.start();
  EXPECT_EQ(exit_code(missing), 1);
  EXPECT_THAT(missing.log(), HasSubstr("none.pem: No such file"));
}

TEST(ReplicasAccess, WithAUserWhoMayUseThePrefixOnly) {
  Directory files;
  EtcdCluster etcd;
  const std::string root = "--user=root:r";
  etcd.ctl({"user", "add", "root:r"});
  etcd.ctl({"user", "grant-role", "root", "root"});
  etcd.ctl({"role", "add", "locks"});
  etcd.ctl({"role", "grant-permission", "locks", "readwrite", "--prefix=true", "/mine/"});
  etcd.ctl({"user", "add", "lockd:secret"});
  etcd.ctl({"user", "grant-role", "lockd", "locks"});
  etcd.ctl({"auth", "enable"});
  const auto access = [&](const std::string& password) {
    return std::vector<std::string>{"--etcd-user",          "lockd",
                                    "--etcd-password-file", files.write(password, password + "\n"),
                                    "--leader-ttl",         "2"};
  };
  ReplicaProcess lockd(etcd.url("/mine"), access("secret"));
  lockd.start();
  lockd.wait_leading();

  ReplicaProcess wrong(etcd.url("/mine"), access("guess"));
  wrong.start();
  EXPECT_EQ(exit_code(wrong), 1);
  EXPECT_THAT(wrong.log(), HasSubstr("authentication failed"));
  EXPECT_THAT(wrong.log(), HasSubstr("--etcd-password-file"));
  EXPECT_EQ(wrong.log().find("guess\n"), std::string::npos) << "a password in the log";

  ReplicaProcess nobody(etcd.url("/mine"), {});
  nobody.start();
  EXPECT_EQ(exit_code(nobody), 1);
  EXPECT_THAT(nobody.log(), HasSubstr("user name is empty"));

  ReplicaProcess elsewhere(etcd.url("/other"), access("secret"));
  elsewhere.start();
  EXPECT_EQ(exit_code(elsewhere), 1);
  EXPECT_THAT(elsewhere.log(), HasSubstr("permission denied"));
  EXPECT_THAT(elsewhere.log(), HasSubstr("grant-permission"));

  // A token that etcd forgot is asked for again: the leader goes on, or leads again.
  etcd.member(0).kill();
  etcd.member(0).start();
  etcd.wait_healthy();
  ReplicaProcess second(etcd.url("/mine"), access("secret"));
  second.start();
  second.wait_said("the active one is", 1);
  lockd.signal(SIGTERM);
  EXPECT_EQ(exit_code(lockd), 0);
  second.wait_leading();
}

TEST(ReplicasAccess, WithoutAnEtcdItWaitsAndSaysWhatFor) {
  const std::uint16_t nobody = support::free_port();
  ReplicaProcess lockd(fmt::format("etcd://127.0.0.1:{}", nobody), {});
  lockd.start();
  lockd.wait_said("etcd does not answer", 1);
  lockd.signal(SIGTERM);
  EXPECT_EQ(exit_code(lockd), 0);
}

TEST(ReplicasAccess, WrongUsageIsNamed) {
  const struct {
    const char* store;
    std::vector<std::string> arguments;
    const char* said;
  } cases[] = {
      {"etcd://", {}, "no HOST:PORT"},
      {"etcd://host", {}, "write HOST:PORT"},
      {"etcd://host:2379,:1", {}, "the host is missing"},
      {"etcd://h:1", {"--etcd-user", "x"}, "go together"},
      {"etcd://h:1", {"--etcd-cert", "x", "--etcd-key", "y"}, "needs --etcd-ca"},
      {"/var/lib/x", {"--etcd-ca", "x"}, "does not name an etcd"},
  };
  for (const auto& one : cases) {
    ReplicaProcess lockd(one.store, one.arguments);
    lockd.start();
    EXPECT_EQ(exit_code(lockd), 2) << one.store;
    EXPECT_THAT(lockd.log(), HasSubstr(one.said));
  }
}

}  // namespace
}  // namespace holdfast
