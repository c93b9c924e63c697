#pragma once
/// Looks at the mounts of this node, asks who is in the way of those that wait, and tells their
/// pods.
///
/// Mounts that wait for nothing are not asked: their state is read (fs/state). Of those that do,
/// the mount itself says who waits, from memory; lockd and other mounts are asked only about a wait
/// that is to be told (`holdfast who`). Nothing that locks or reads or writes waits for this.
///
/// Thread: one; a look blocks as long as mounts and the API server let it, at most 10 s each.

#include "cli/events/kube_api.h"
#include "cli/events/teller.h"

#include <chrono>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace holdfast::cli {

struct EventsOptions {
  std::chrono::milliseconds after{30'000};
  std::string node;
  std::vector<std::string> directories;  ///< where mounts publish
  ApiPlace api;
};

class Watch {
 public:
  explicit Watch(const EventsOptions& options) : options_(options), api_(options.api) {}
  void look();

 private:
  struct Mount {
    SessionId session;
    std::string source;
    std::string socket;
  };
  void look_at(const std::string& directory, const std::string& connection);
  void tell_one(const Wait& wait);
  void carry_out(const Order& order);
  void failed(const std::string& what, std::string_view hint);

  const EventsOptions& options_;
  KubeApi api_;
  Teller teller_;
  // Of the look that is under way.
  std::map<std::string, Mount> mounts_;  // by connection
  std::set<std::string> silent_;
  std::vector<Wait> waits_;
  unsigned nameless_ = 0;
  // Said once, until it has changed.
  std::string failure_said_;
  bool nameless_said_ = false;
};

}  // namespace holdfast::cli
