// Whoever reaches the status page can read it and nothing else, and keeps nobody from his locks.
#include "tests/integration/lockd/status_scene.h"

#include <csignal>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace holdfast::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(StatusAbuse, AnotherHostIsRefused) {
  const StatusScene scene({"--status-name", "nas.example"});
  EXPECT_THAT(status_of(http(scene.port, "/status.json", "evil.example")), HasSubstr("421"));
  EXPECT_THAT(http(scene.port, "/status.json", "evil.example"), Not(HasSubstr("sessions")));
  EXPECT_THAT(status_of(http(scene.port, "/status.json", "nas.example:80")), HasSubstr("200"));
  EXPECT_THAT(status_of(http(scene.port, "/status.json", "localhost")), HasSubstr("200"));
  HttpPeer none(scene.port);
  none.send("GET /status.json HTTP/1.0\r\n\r\n");
  EXPECT_THAT(status_of(none.rest()), HasSubstr("421"));
  HttpPeer two(scene.port);
  two.send("GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n");
  EXPECT_THAT(status_of(two.rest()), Not(HasSubstr("200")));
}

TEST(StatusAbuse, OnlyReadingIsAnswered) {
  const StatusScene scene;
  for (const char* method : {"PUT", "DELETE", "POST", "OPTIONS", "TRACE", "FROB"})
    EXPECT_THAT(status_of(http(scene.port, "/status.json", "localhost", method)),
                Not(HasSubstr("200")))
        << method;
  EXPECT_THAT(status_of(http(scene.port, "/../etc/passwd")), HasSubstr("404"));
  const std::string head = http(scene.port, "/", "localhost", "HEAD");
  EXPECT_THAT(status_of(head), HasSubstr("200"));
  EXPECT_EQ(body_of(head), "");
}

TEST(StatusAbuse, AnswersForbidWhatAPageOfOthersCouldUse) {
  const StatusScene scene;
  for (const char* path : {"/", "/status.json", "/metrics", "/page.js"}) {
    const std::string head = http(scene.port, path);
    EXPECT_THAT(head, HasSubstr("Content-Security-Policy: default-src 'none';")) << path;
    EXPECT_THAT(head, HasSubstr("X-Content-Type-Options: nosniff")) << path;
    EXPECT_THAT(head, Not(HasSubstr("Access-Control-Allow"))) << path;
    EXPECT_THAT(head, Not(HasSubstr("unsafe-inline"))) << path;
  }
}

TEST(StatusAbuse, TooMuchIsRefusedOrClosed) {
  const StatusScene scene;
  HttpPeer head(scene.port);
  head.send("GET / HTTP/1.1\r\nHost: localhost\r\nX: " + std::string(100'000, 'x'));
  EXPECT_THAT(status_of(head.rest()), Not(HasSubstr("200")));
  HttpPeer body(scene.port);
  body.send("GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\nxxxx");
  EXPECT_THAT(status_of(body.rest()), Not(HasSubstr("200")));
  HttpPeer noise(scene.port);
  noise.send(std::string("\x16\x03\x01\x00\xff\x00garbage\r\n\r\n", 17));
  EXPECT_THAT(noise.rest(), Not(HasSubstr("200 OK")));
  EXPECT_THAT(status_of(http(scene.port, "/healthz")), HasSubstr("200"));
}

// Connections that say nothing take all the places there are; locks go on as if they were not
// there, and once their time is over the page is back.
TEST(StatusAbuse, SilentConnectionsKeepNobodyFromHisLocks) {
  StatusScene scene;
  std::vector<std::unique_ptr<HttpPeer>> silent;
  for (int i = 0; i < 200; ++i) {
    silent.push_back(std::make_unique<HttpPeer>(scene.port));
    silent.back()->send("GET /status");
  }
  auto& mount = scene.mount("pi-1", "nas:/export/apps");
  for (std::uint64_t i = 1; i <= 100; ++i)
    EXPECT_TRUE(std::holds_alternative<Granted>(mount.ask(i, StatusScene::lock(i, 1))));
  EXPECT_EQ(silent.back()->rest(), "") << "one too many is closed at once";
  silent.front()->rest();  // after its time
  silent.clear();
  EXPECT_THAT(status_of(http(scene.port, "/healthz")), HasSubstr("200"));
}

TEST(StatusAbuse, APortThatIsTakenKeepsNobodyFromHisLocks) {
  const StatusScene first;
  support::LockdProcess second({"--status", "127.0.0.1:" + std::to_string(first.port)});
  support::RawPeer mount(second.address());
  mount.open_session();
  EXPECT_TRUE(std::holds_alternative<Granted>(mount.ask(1, StatusScene::lock(1, 1))));
  std::ostringstream log;
  log << std::ifstream(second.log_path()).rdbuf();
  EXPECT_THAT(log.str(), HasSubstr("error status.cannot_listen "));
}

TEST(StatusAbuse, LockdStopsAtOnceWithOpenConnections) {
  StatusScene scene;
  HttpPeer half(scene.port);
  half.send("GET / HT");
  HttpPeer idle(scene.port);
  scene.lockd.signal(SIGTERM);
  EXPECT_EQ(scene.lockd.wait(), 0);
}

}  // namespace
}  // namespace holdfast::test
