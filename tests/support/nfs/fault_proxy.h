#pragma once
/// A TCP proxy between an NFS client and its server that understands record marking (RFC 5531
/// section 11) and misbehaves on demand. Listens on 127.0.0.1 in the network namespace of its
/// creator.
///
/// Thread: its own; every method may be called from any thread.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace holdfast::fs::testing {

class FaultProxy {
 public:
  enum class SourcePorts {
    kKept,     ///< the server sees the client's port: its duplicate request cache knows a repeated
               ///< call
    kChanged,  ///< it does not: what the client repeats is executed again
  };
  enum class Action {
    kSwallow,        ///< the reply vanishes, the connection stays
    kSwallowAndCut,  ///< the reply vanishes with the connection: executed, but the client cannot
                     ///< know
    kCutReply,       ///< the first `bytes` of the reply arrive (with its record mark), then the
                     ///< connection ends
    kCutCall,        ///< the call never arrives, the connection ends
    kDelay,          ///< the reply comes `bytes` milliseconds late
    kAnswer,         ///< the server is not asked: the reply says `status`, an error, and no more
  };
  static constexpr std::uint32_t kAnyProcedure = 0xffffffff;  ///< of NFSv3, but NULL
  struct Fault {
    std::uint32_t procedure = 0;  ///< NFSv3 procedure number
    Action action = Action::kSwallow;
    std::size_t bytes = 0;
    std::uint32_t status = 0;  ///< nfsstat3
    unsigned after = 0;        ///< so many calls pass before
    unsigned times = 1;        ///< it strikes so many calls
  };

  FaultProxy(std::uint16_t server_port, SourcePorts source_ports);
  ~FaultProxy();
  FaultProxy(const FaultProxy&) = delete;
  FaultProxy& operator=(const FaultProxy&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  /// Strikes at the next calls of that procedure; replaces a fault that has not struck yet.
  void arm(Fault fault);
  /// Wholly: as often as it should.
  [[nodiscard]] bool struck() const;
  /// Nothing is armed any more; whether it had struck wholly.
  bool disarm();
  /// Nothing passes in either direction while set; connections stay.
  void black_hole(bool on) { hole_ = on; }
  /// Ends all connections and refuses new ones while set.
  void refuse(bool on);
  [[nodiscard]] unsigned calls(std::uint32_t procedure) const;
  /// A tap: calls that change the storage, in the order in which they came out of the network.
  struct Change {
    std::chrono::steady_clock::time_point at;
    std::uint32_t procedure = 0;
    std::uint16_t source_port = 0;
  };
  [[nodiscard]] std::vector<Change> changes() const;
  /// Later connections take in little that nobody reads: the rest waits in the client's kernel.
  void narrow();
  [[nodiscard]] unsigned connections() const { return connections_; }

 private:
  struct Pipe;
  void accept_loop();
  void serve(int client);
  [[nodiscard]] int connect_upstream(int client) const;
  /// False = end this connection.
  bool on_call(Pipe& pipe, const std::vector<std::uint8_t>& record);
  bool on_reply(Pipe& pipe, const std::vector<std::uint8_t>& record);
  std::optional<Fault> take_fault(std::uint32_t procedure, bool at_call);
  void listen_again();

  const std::uint16_t server_port_;
  const SourcePorts source_ports_;
  std::uint16_t port_ = 0;
  std::atomic<bool> stop_ = false;
  std::atomic<bool> hole_ = false;
  std::atomic<bool> refuse_ = false;
  std::atomic<unsigned> connections_ = 0;
  mutable std::mutex mutex_;  // guards the next three
  std::optional<Fault> fault_;
  std::map<std::uint32_t, unsigned> calls_;
  std::vector<Change> changes_;
  int listener_ = -1;  // accept_loop only, after construction
  std::vector<std::thread> pipes_;
  std::thread acceptor_;
};

}  // namespace holdfast::fs::testing
