// What a lockd refuses to serve from when its store is in etcd, and how it gets in.
#include "lockd/store/etcd/etcd_store.h"
#include "lockd/store/etcd/rows.h"
#include "tests/integration/lockd/store_fixture.h"
#include "tests/support/etcd/etcd_cluster.h"
#include "tests/support/etcd/tcp_gate.h"
#include "tests/support/lock/driven_loop.h"

#include <optional>

#include <gmock/gmock.h>

namespace holdfast::lockd {
namespace {

using namespace testing;
using namespace std::chrono_literals;
using ::testing::HasSubstr;

class EtcdContents : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { etcd() = std::make_unique<support::EtcdCluster>(); }
  static void TearDownTestSuite() { etcd().reset(); }
  static std::unique_ptr<support::EtcdCluster>& etcd() {
    static std::unique_ptr<support::EtcdCluster> cluster;
    return cluster;
  }

  std::unique_ptr<EtcdStore> make() {
    EtcdOptions options;
    options.location = *parse_etcd(etcd()->url(prefix));
    const EtcdEvents events{.waits = [](const std::string&) {},
                            .leads = [] {},
                            .lost = [this](const std::string& why) { lost = why; }};
    return std::make_unique<EtcdStore>(loop.executor(), options, 0, fresh_etcd_identity(), events);
  }
  boost::system::result<Recovered, wire::StartFailure> life(const StoreChanges& changes = {}) {
    const auto store = make();
    auto opened = loop.run(store->open(kTtl));
    if (!opened) return opened;
    EXPECT_TRUE(loop.run(store->write(changes)));
    loop.run(store->close());
    return opened;
  }
  std::string key(const std::string& name) const { return prefix + "/" + name; }

  std::string prefix =
      std::string("/") + ::testing::UnitTest::GetInstance()->current_test_info()->name();
  support::DrivenLoop loop;
  std::optional<std::string> lost;
};

TEST_F(EtcdContents, MoreChangesThanATransactionHoldsAreKeptInOrder) {
  Contents model;
  model.begin_life(0, kTtl);
  StoreChanges changes;
  for (std::uint64_t step = 0; step < 400; ++step) {
    for (StoreChange& one : sample_changes(step))
      changes.push_back(std::move(one));
  }
  // And one session that loses more files than a transaction holds.
  changes.emplace_back(PutSession{sample_session(9)});
  for (std::uint64_t i = 1; i <= 300; ++i)
    changes.emplace_back(PutLoss{sample_session(9).session, FileLoss{{i}, {i, i}}});
  for (const StoreChange& one : changes)
    model.apply(one, kTtl);
  ASSERT_TRUE(life(changes));
  model.begin_life(0, kTtl);
  const auto found = life({DropSession{sample_session(9).session}});
  ASSERT_TRUE(found) << found.error().what;
  EXPECT_EQ(text_of(*found), text_of(model.recovered()));
  model.apply(DropSession{sample_session(9).session}, kTtl);
  const auto again = life();
  ASSERT_TRUE(again) << again.error().what;
  EXPECT_EQ(text_of(*again), text_of(model.recovered()));
}

TEST_F(EtcdContents, ManySessionsAreReadInPages) {
  StoreChanges changes;
  for (std::uint64_t id = 1; id <= 1500; ++id)
    changes.emplace_back(PutSession{sample_session(id)});
  ASSERT_TRUE(life(changes));
  const auto found = life();
  ASSERT_TRUE(found) << found.error().what;
  EXPECT_EQ(found->sessions.size(), 1500u);
}

TEST_F(EtcdContents, AForeignKeyIsNamed) {
  etcd()->ctl({"put", key("notes"), "precious"});
  const std::string said = refusal(life());
  EXPECT_THAT(said, HasSubstr("not of holdfast-lockd: the key " + key("notes")));
  EXPECT_THAT(etcd()->ctl({"get", key("notes")}), HasSubstr("precious"));
}

TEST_F(EtcdContents, AChangedRecordIsNamed) {
  const SessionRecord record = sample_session(3);
  ASSERT_TRUE(life({PutSession{record}}));
  const std::string at = key(fmt::format("session/{:016x}", record.session.value));
  etcd()->ctl({"put", at, "something else"});
  const std::string said = refusal(life());
  EXPECT_THAT(said, HasSubstr("is damaged"));
  EXPECT_THAT(said, HasSubstr(at));
}

TEST_F(EtcdContents, AMissingRecordIsMissed) {
  const SessionRecord record = sample_session(3);
  ASSERT_TRUE(life({PutSession{record}, PutLoss{record.session, FileLoss{{1}, {1, 1}}}}));
  etcd()->ctl({"del", "--prefix", key("loss/")});
  EXPECT_THAT(refusal(life()), HasSubstr("should hold 2 records and holds 1"));
}

TEST_F(EtcdContents, WithoutItsMetaItIsNoNewStore) {
  ASSERT_TRUE(life({PutSession{sample_session(3)}}));
  etcd()->ctl({"del", key("meta")});
  EXPECT_THAT(refusal(life()), HasSubstr("the record of its epoch is missing"));
}

TEST_F(EtcdContents, ANewerFormatIsRefused) {
  ASSERT_TRUE(life());
  EtcdMeta meta;
  meta.format = 9;
  etcd()->put(key("meta"), encode(key("meta"), meta));
  EXPECT_THAT(refusal(life()), HasSubstr("has format 9"));
}

TEST_F(EtcdContents, ALeaderThatIsNoneIsRefused) {
  etcd()->ctl({"put", key("leader"), "me"});
  EXPECT_THAT(refusal(life()), HasSubstr("is damaged"));
}

TEST_F(EtcdContents, TheOperatorsWordMakesAStoreThatIsNotEmpty) {
  EtcdOptions options;
  options.location = *parse_etcd(etcd()->url(prefix));
  ASSERT_TRUE(EtcdStore::create_settled(options));
  const auto first = life();
  ASSERT_TRUE(first);
  EXPECT_FALSE(first->empty);
  EXPECT_EQ(first->before, Epoch{0});
  const auto again = EtcdStore::create_settled(options);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, errno_code(EEXIST));
}

TEST_F(EtcdContents, AWriteOfADeposedLeaderIsNotCarriedOut) {
  const auto store = make();
  ASSERT_TRUE(loop.run(store->open(kTtl)));
  ASSERT_TRUE(loop.run(store->write({PutSession{sample_session(1)}})));
  EtcdLeader other{.process = "other", .life = 1, .name = "other", .ttl = 1ms};
  etcd()->put(key("leader"), encode(key("leader"), other));
  const auto writing = loop.begin(store->write({PutSession{sample_session(2)}}));
  loop.until([&] { return lost.has_value(); });
  EXPECT_EQ(*lost, "another one took over");
  EXPECT_LT(store->authority_until(), boot_time_now());
  loop.run(store->close());
  const auto next = life();
  ASSERT_TRUE(next) << next.error().what;
  ASSERT_EQ(next->sessions.size(), 1u);
  EXPECT_EQ(next->sessions[0].session, sample_session(1).session);
}

// The first copy of a write is on its way while the second one, through another address of etcd,
// and a later write are carried out. Then it arrives.
TEST_F(EtcdContents, AWriteThatArrivesLateChangesNothing) {
  support::TcpGate gate(etcd()->member(0).client_port());
  EtcdOptions options;
  options.location = *parse_etcd(fmt::format("etcd://127.0.0.1:{},127.0.0.1:{}{}", gate.port(),
                                             etcd()->member(0).client_port(), prefix));
  const EtcdEvents events{.waits = [](const std::string&) {},
                          .leads = [] {},
                          .lost = [this](const std::string& why) { lost = why; }};
  EtcdStore store(loop.executor(), options, 0, fresh_etcd_identity(), events);
  ASSERT_TRUE(loop.run(store.open(kTtl)));
  SessionRecord record = sample_session(1);
  gate.keep(800ms);  // less than a call waits for its answer
  ASSERT_TRUE(loop.run(store.write({PutSession{record}})));
  record.address = "198.51.100.7";
  ASSERT_TRUE(loop.run(store.write({PutSession{record}})));
  const auto revision = [&] {  // of the last put of meta
    const std::string fields = etcd()->ctl({"get", key("meta"), "-w", "fields"});
    const auto at = fields.find("\"ModRevision\"");
    return fields.substr(at, fields.find('\n', at) - at);
  };
  const std::string before = revision();
  gate.deliver();
  std::this_thread::sleep_for(500ms);
  EXPECT_EQ(revision(), before) << "the late copy was carried out";
  EXPECT_FALSE(lost) << *lost;
  loop.run(store.close());
  const auto next = life();
  ASSERT_TRUE(next) << next.error().what;
  ASSERT_EQ(next->sessions.size(), 1u);
  EXPECT_EQ(next->sessions[0].address, "198.51.100.7");
}

TEST_F(EtcdContents, AuthorityIsLessThanWhatOthersWait) {
  const auto store = make();
  ASSERT_TRUE(loop.run(store->open(kTtl)));
  for (int i = 0; i < 200; ++i) {
    const Instant until = store->authority_until();
    EXPECT_LE(until, boot_time_now() + 3s - 60ms - 200ms) << "3 s, less 2 % and 200 ms";
    std::this_thread::sleep_for(10ms);
  }
  EXPECT_GT(store->authority_until(), boot_time_now()) << "put again";
  loop.run(store->close());
  EXPECT_LT(store->authority_until(), boot_time_now());
}

}  // namespace
}  // namespace holdfast::lockd
