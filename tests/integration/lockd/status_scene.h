#pragma once
/// A lockd with a status page, and mounts that hold and wait: two chains across files, a client
/// whose names are an attack on whoever looks.

#include "tests/integration/lockd/http_get.h"
#include "tests/support/lock/lockd_process.h"
#include "tests/support/lock/raw_peer.h"

#include <memory>
#include <string>
#include <vector>

namespace holdfast::test {

inline const std::string kHostileNode = "<img src=x onerror=\"document.title='owned'\">";
inline const std::string kHostileVolume = "nas:/</script><script>document.title='owned'</script>";

class StatusScene {
 public:
  explicit StatusScene(std::vector<std::string> more = {}) : lockd(arguments(std::move(more))) {
    port = status_port(lockd.log_path().string());
  }

  support::RawPeer& mount(const std::string& node, const std::string& volume) {
    Hello hello;
    hello.node = node;
    hello.volume_name = volume;
    for (std::size_t i = 0; i < volume.size(); ++i)
      hello.volume[i % hello.volume.size()] =
          static_cast<std::uint8_t>(hello.volume[i % hello.volume.size()] * 31 + volume[i]);
    hello.mountpoint = "/mnt/" + volume.substr(volume.rfind('/') + 1);
    hello.pid = 1000 + static_cast<std::uint32_t>(mounts.size());
    mounts.push_back(std::make_unique<support::RawPeer>(lockd.address()));
    mounts.back()->send(hello);
    mounts.back()->expect<Welcome>();
    return *mounts.back();
  }
  static LockRequest lock(std::uint64_t file, std::uint32_t pid, Wait wait = Wait::kNo,
                          ByteRange range = ByteRange::whole_file()) {
    LockRequest request = support::lock_request(pid, LockMode::kExclusive, wait, range);
    request.file = {.fileid = file, .handle_hash = file};
    request.kind = OwnerKind::kPosix;
    request.pid = pid;
    return request;
  }
  /// Who waits for whom, over two files.
  void fill() {
    auto& pi_1 = mount("pi-1", "nas:/export/apps");
    auto& pi_2 = mount("pi-2", "nas:/export/apps");
    auto& big = mount("big-box", "nas:/export/apps");
    auto& photos = mount("pi-1", "nas:/export/photos");
    auto& hostile = mount(kHostileNode, kHostileVolume);
    pi_1.ask(1, lock(4711, 812));
    big.ask(1, lock(99, 93));
    wait(pi_2, 1, lock(4711, 2201, Wait::kYes));
    wait(big, 2, lock(4711, 93, Wait::kYes));
    wait(pi_1, 2, lock(99, 5555, Wait::kYes));
    hostile.ask(1, lock(1, 666));
    wait(hostile, 2, lock(1, 667, Wait::kYes));
    for (std::uint64_t i = 0; i < 12; ++i)
      photos.ask(1 + i, lock(300 + i, 70, Wait::kNo, *ByteRange::make(i * 100, i * 100 + 50)));
  }
  static void wait(support::RawPeer& peer, std::uint64_t number, const LockRequest& request) {
    peer.send(Request{{number}, {0}, request});
    peer.expect<Queued>();
  }

  support::LockdProcess lockd;
  std::uint16_t port = 0;
  std::vector<std::unique_ptr<support::RawPeer>> mounts;

 private:
  static std::vector<std::string> arguments(std::vector<std::string> more) {
    std::vector<std::string> out{"--status", "127.0.0.1:0", "--lease-ttl", "600"};
    out.insert(out.end(), more.begin(), more.end());
    return out;
  }
};

}  // namespace holdfast::test
