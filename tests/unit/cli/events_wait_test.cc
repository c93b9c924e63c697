// Who waits, and what its pod is told: answers of mounts in, a sentence out.
#include "cli/events/wait.h"

#include <gtest/gtest.h>

namespace holdfast::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr SessionId kHere{1};
constexpr SessionId kThere{2};
constexpr FileKey kFile{77, 1};
constexpr milliseconds kAfter{30'000};

ProcessInfo in_pod(const std::string& name, const std::string& ns, const std::string& pod) {
  return {.name = name, .pod_uid = "uid-of-" + pod, .pod = pod, .ns = ns, .container = ""};
}

ProcessInfo on_node(const std::string& name) {
  ProcessInfo out;
  out.name = name;
  return out;
}

ToldLock wait(std::uint32_t pid, milliseconds age, ProcessInfo process) {
  ToldLock lock;
  lock.state = ToldState::kWaiting;
  lock.file = kFile;
  lock.mode = LockMode::kExclusive;
  lock.owner = OwnerId{pid};
  lock.pid = pid;
  lock.age = age;
  lock.process = std::move(process);
  return lock;
}

ToldLock hold(std::uint32_t pid, milliseconds age, ProcessInfo process) {
  ToldLock lock = wait(pid, age, std::move(process));
  lock.state = ToldState::kHeld;
  return lock;
}

WhoMount mount(SessionId session, const std::string& node, std::vector<ToldLock> locks) {
  WhoMount out;
  out.session.session = session;
  out.session.node = node;
  out.told = true;
  out.locks = std::move(locks);
  return out;
}

WhoAnswer own(std::vector<ToldLock> locks) {
  WhoAnswer answer;
  answer.mounts.push_back(mount(kHere, "node-a", std::move(locks)));
  return answer;
}

/// As lockd puts it together: its own list, and what mounts said of the processes.
WhoAnswer who(const std::vector<WhoMount>& mounts) {
  WhoAnswer answer;
  answer.from_lockd = true;
  answer.mounts = mounts;
  for (const WhoMount& one : mounts) {
    for (const ToldLock& told : one.locks) {
      LockInfo info;
      info.state = told.state == ToldState::kHeld ? LockState::kHeld : LockState::kWaiting;
      info.session = one.session.session;
      info.node = one.session.node;
      info.file = told.file;
      info.mode = told.mode;
      info.range = told.range;
      info.owner = told.owner;
      info.pid = told.pid;
      info.age = told.age;
      answer.locks.push_back(info);
    }
  }
  return answer;
}

fs::state::Snapshot with_request(std::uint64_t since, const std::string& operation) {
  fs::state::Snapshot state;
  state.requests = 1;
  state.open = {{.since = since, .operation = operation, .node = 1, .pid = 42}};
  return state;
}

TEST(EventsWait, OnlyAnOldWaitForALockIsWorthAQuestion) {
  constexpr std::uint64_t kNow = 100'000;
  EXPECT_FALSE(may_have_old_wait({}, kNow, kAfter));
  EXPECT_TRUE(may_have_old_wait(with_request(70'000, "SETLKW"), kNow, kAfter));
  EXPECT_FALSE(may_have_old_wait(with_request(70'001, "SETLKW"), kNow, kAfter));
  EXPECT_FALSE(may_have_old_wait(with_request(1, "READ"), kNow, kAfter)) << "a mount that hangs";
  fs::state::Snapshot busy = with_request(99'000, "READ");
  busy.requests = 5;
  EXPECT_FALSE(may_have_old_wait(busy, kNow, kAfter)) << "answered while we looked";
  fs::state::Snapshot crowded = busy;
  crowded.requests = 300;
  crowded.open.resize(fs::state::kRequestsMax, busy.open[0]);
  EXPECT_TRUE(may_have_old_wait(crowded, kNow, kAfter)) << "the page does not show all";
}

TEST(EventsWait, AWaitIsAPodsAndAFiles) {
  const ProcessInfo app = in_pod("app", "shop", "app-0");
  const Waits found = waits_of(
      own({wait(10, seconds{31}, app), wait(11, seconds{45}, app), wait(12, seconds{29}, app),
           wait(13, seconds{90}, in_pod("cron", "shop", "cron-7"))}),
      "53", kAfter);
  ASSERT_EQ(found.all.size(), 2U);
  EXPECT_EQ(found.all[0].pod.name, "cron-7") << "the longest first";
  EXPECT_EQ(found.all[1].pid, 11U);
  EXPECT_EQ(found.all[1].others, 1U);
  EXPECT_EQ(found.all[1].key, (WaitKey{"53", "uid-of-app-0", 77}));
  EXPECT_EQ(found.nameless, 0U);
}

TEST(EventsWait, WhoIsNoPodOrHoldsIsNotToldAndWhoHasNoNameIsCounted) {
  ProcessInfo unnamed = in_pod("app", "", "");
  ProcessInfo strange = in_pod("app", "shop/../kube-system", "app-0");
  const Waits found = waits_of(
      own({wait(10, seconds{31}, on_node("backup")), hold(11, seconds{31}, in_pod("a", "b", "c")),
           wait(12, seconds{31}, unnamed), wait(13, seconds{31}, strange)}),
      "53", kAfter);
  EXPECT_TRUE(found.all.empty());
  EXPECT_EQ(found.nameless, 2U) << "a name that is none goes into no request's address";
}

class EventsTold : public ::testing::Test {
 protected:
  Told told(const WhoAnswer& answer) { return tell(wait_, answer, kHere, "nas:/export"); }
  const ProcessInfo app_ = in_pod("app", "shop", "app-0");
  const ToldLock waiting_ = wait(10, seconds{45}, app_);
  const Wait wait_ = waits_of(own({waiting_}), "53", kAfter).all.at(0);
};

TEST_F(EventsTold, TheHolderIsNamedWithPodNodeAndProcess) {
  const ToldLock held = hold(4711, seconds{184}, in_pod("vaultwarden", "vault", "vaultwarden-0"));
  const Told said =
      told(who({mount(kHere, "node-a", {waiting_}), mount(kThere, "node-b", {held})}));
  EXPECT_EQ(said.note,
            "Process 10 (app) has waited 45s for an exclusive lock (whole file) on file number 77 "
            "of nas:/export. In its way: process 4711 (vaultwarden) of pod vault/vaultwarden-0 on "
            "node node-b (has it for 3m04s). It goes on when that program unlocks the file or "
            "ends: kubectl -n vault logs vaultwarden-0. (find DIRECTORY -inum 77 names the file)");
  ASSERT_TRUE(said.holder);
  EXPECT_EQ(said.holder->name, "vaultwarden-0");
  EXPECT_EQ(said.holder->uid, "uid-of-vaultwarden-0");
}

TEST_F(EventsTold, WhoIsInTheWayIsTheSameTextAsLongAsItIsTheSame) {
  ToldLock held = hold(4711, seconds{184}, in_pod("v", "vault", "v-0"));
  const auto behind = [&] {
    return told(who({mount(kHere, "node-a", {waiting_}), mount(kThere, "node-b", {held})})).behind;
  };
  const std::string first = behind();
  held.age = seconds{300};
  EXPECT_EQ(behind(), first);
  held.pid = 4712;
  EXPECT_NE(behind(), first);
}

TEST_F(EventsTold, APodIsNotInItsOwnWayAndWhoWaitsTooComesLast) {
  const ToldLock mine_too = wait(11, seconds{60}, app_);
  const ToldLock before = wait(12, seconds{50}, in_pod("b", "shop", "b-0"));
  const ToldLock held = hold(13, seconds{70}, on_node("backup"));
  const Told said = told(
      who({mount(kHere, "node-a", {waiting_, mine_too}), mount(kThere, "node-b", {before, held})}));
  EXPECT_NE(said.note.find("In its way: process 13 (backup) on node node-b (has it for 1m10s); "
                           "process 12 (b) of pod shop/b-0 on node node-b (waits too, before it). "
                           "It goes on when that program unlocks the file or ends."),
            std::string::npos)
      << said.note;
  EXPECT_FALSE(said.holder) << "the holder is in no pod";
}

TEST_F(EventsTold, WhatIsNotKnownIsSaid) {
  WhoAnswer answer = own({waiting_});
  EXPECT_NE(told(answer).note.find("In its way: not known: lockd does not answer this mount"),
            std::string::npos);
  answer.from_lockd = true;
  EXPECT_NE(told(answer).note.find("In its way: not known yet."), std::string::npos);
}

TEST_F(EventsTold, NoNodeOrProgramCanPlayWithWhoReadsIt) {
  ToldLock held = hold(4711, seconds{1}, on_node("x\x1b[2J\n\xff"));
  const Told said = told(
      who({mount(kHere, "node-a", {waiting_}), mount(kThere, std::string(5'000, 'n'), {held})}));
  EXPECT_EQ(said.note.size(), kNoteMax);
  for (const char c : said.note)
    EXPECT_TRUE(c >= ' ' && c <= '~');
}

}  // namespace
}  // namespace holdfast::cli
