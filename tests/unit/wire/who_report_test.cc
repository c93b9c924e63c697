// holdfast who in words: plain answers in, text out.
#include "cli/admin/who_report.h"

#include "cli/admin/lock_view.h"
#include "fs/core/derived_key.h"

#include <gtest/gtest.h>

namespace holdfast::cli {
namespace {

using namespace std::chrono_literals;

constexpr FileKey kDatabase{77, 5};

LockInfo lock(std::uint64_t session, std::uint32_t pid, LockState state,
              LockMode mode = LockMode::kExclusive) {
  LockInfo info;
  info.state = state;
  info.session = {session};
  info.node = session == 1 ? "node-a" : "node-b";
  info.file = kDatabase;
  info.mode = mode;
  info.range = *ByteRange::make(0x40000001, 0x40000002);
  info.owner = {pid};
  info.pid = pid;
  info.age = 90s;
  return info;
}

WhoMount mount(std::uint64_t session, std::vector<ToldLock> told) {
  WhoMount mount;
  mount.session.session = {session};
  mount.session.node = session == 1 ? "node-a" : "node-b";
  mount.session.mountpoint = "/mnt";
  mount.session.connected = true;
  mount.told = true;
  mount.locks = std::move(told);
  return mount;
}

ToldLock told(std::uint32_t pid, const std::string& name) {
  ToldLock lock;
  lock.file = kDatabase;
  lock.owner = {pid};
  lock.pid = pid;
  lock.age = 90s;
  lock.range = *ByteRange::make(0x40000001, 0x40000002);
  lock.process.name = name;
  return lock;
}

WhoAnswer answer() {
  WhoAnswer answer;
  answer.from_lockd = true;
  return answer;
}

TEST(WhoReport, NamesTheProcessOfTheHolderAndWhoWaitsBehindIt) {
  WhoAnswer all = answer();
  all.locks = {lock(1, 42, LockState::kHeld), lock(2, 7, LockState::kWaiting)};
  ToldLock holder = told(42, "vaultwarden");
  holder.process.pod_uid = "01234567-89ab-cdef-0123-456789abcdef";
  holder.process.ns = "vault";
  holder.process.pod = "vaultwarden-0";
  all.mounts = {mount(1, {holder}), mount(2, {told(7, "backup")})};
  EXPECT_EQ(who_text(all, "/mnt/db"),
            "STATE    NODE    PROCESS         POD                  KIND   MODE       RANGE     "
            "SINCE  BEHIND\n"
            "held     node-a  42 vaultwarden  vault/vaultwarden-0  fcntl  exclusive  RESERVED  "
            "1m30s  -\n"
            "waiting  node-b  7 backup        -                    fcntl  exclusive  RESERVED  "
            "1m30s  node-a 42 vaultwarden\n");
}

TEST(WhoReport, ShowsWhatAMountHasDecidedUnderItsToken) {
  WhoAnswer all = answer();
  ToldLock here = told(42, "sqlite3");
  here.here = true;
  ToldLock known_to_lockd = told(43, "other");
  all.mounts = {mount(1, {here, known_to_lockd})};
  const std::string text = who_text(all, "/mnt/db");
  EXPECT_NE(text.find("held   node-a  42 sqlite3"), std::string::npos) << text;
  EXPECT_EQ(text.find("other"), std::string::npos) << "lockd has given that one back already";
}

TEST(WhoReport, WithoutLocksItSaysSo) {
  EXPECT_EQ(who_text(answer(), "/mnt/a\x1b"), "nobody has or wants a lock on /mnt/a?\n");
}

TEST(WhoReport, SaysWhatMayBeMissing) {
  WhoAnswer all = answer();
  WhoMount silent = mount(1, {});
  silent.told = false;
  silent.token = TokenMode::kExclusive;
  all.mounts = {silent};
  EXPECT_NE(
      who_text(all, "x").find("note: node node-a (mounted at /mnt) decides locks of this file "
                              "itself and did not answer"),
      std::string::npos);
  all.mounts[0].token = TokenMode::kNone;
  all.mounts[0].has_volume = true;
  EXPECT_EQ(who_notes(all).size(), 1U);
  all.mounts[0].has_volume = false;
  EXPECT_TRUE(who_notes(all).empty()) << "it has nothing to do with the file";
  all.mounts[0].session.phase = SessionPhase::kCourtesy;
  all.locks = {lock(1, 42, LockState::kHeld)};
  EXPECT_NE(who_text(all, "x").find("out of reach (courtesy)"), std::string::npos);
  all = WhoAnswer{};
  EXPECT_NE(who_text(all, "x").find("lockd does not answer this mount"), std::string::npos);
}

TEST(LockView, OnlyConflictsOfOthersAreInTheWay) {
  std::vector<LockView> locks = views_of(std::vector<LockInfo>{
      lock(1, 1, LockState::kHeld, LockMode::kShared),        // 0
      lock(1, 2, LockState::kWaiting, LockMode::kExclusive),  // 1: waits for 0
      lock(2, 3, LockState::kWaiting, LockMode::kShared),     // 2: came later, waits behind 1
      lock(1, 1, LockState::kWaiting, LockMode::kExclusive),  // 3: its own lock is in nobody's way
  });
  locks[1].age = 60s;
  locks[2].age = 30s;
  locks[3].age = 10s;
  find_behind(locks);
  EXPECT_EQ(locks[0].behind, (std::vector<std::size_t>{}));
  EXPECT_EQ(locks[1].behind, (std::vector<std::size_t>{0}));
  EXPECT_EQ(locks[2].behind, (std::vector<std::size_t>{1}));
  EXPECT_EQ(locks[3].behind, (std::vector<std::size_t>{1, 2}));
  locks[1].file.fileid = 78;
  for (LockView& one : locks)
    one.behind.clear();
  find_behind(locks);
  EXPECT_TRUE(locks[1].behind.empty()) << "another file";
}

TEST(LockView, LocksOfAWalIndexAreTold) {
  std::vector<LockView> locks = views_of(
      std::vector<LockInfo>{lock(1, 1, LockState::kWalOwner), lock(1, 1, LockState::kHeld)});
  locks[1].file = fs::derive(kDatabase, fs::DerivedKey::kWalIndex);
  locks[1].range = *ByteRange::make(120, 121);
  EXPECT_EQ(what_text(locks[0], locks), "wal-index");
  EXPECT_EQ(what_text(locks[1], locks), "120-120 of -shm");
}

TEST(WhoReport, JsonHasTheSame) {
  WhoAnswer all = answer();
  all.locks = {lock(1, 42, LockState::kHeld), lock(2, 7, LockState::kWaiting)};
  all.mounts = {mount(1, {told(42, "a\"b")})};
  const std::string json = who_json(all, "/mnt/db", 77);
  EXPECT_NE(json.find(R"("process":"a\"b")"), std::string::npos) << json;
  EXPECT_NE(json.find(R"("state":"waiting","node":"node-b","pid":7)"), std::string::npos) << json;
  EXPECT_NE(json.find(R"("behind":[0])"), std::string::npos) << json;
  EXPECT_EQ(json.rfind(R"({"path":"/mnt/db","fileid":77,"from_lockd":true,)", 0), 0U) << json;
}

}  // namespace
}  // namespace holdfast::cli
