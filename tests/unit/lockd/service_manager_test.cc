#include "lockd/service_manager.h"

#include "holdfast/base/unique_fd.h"

#include <array>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace holdfast::lockd {
namespace {

// The service manager's end, at an abstract name that the kernel chose.
class Listener {
 public:
  Listener() : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    socklen_t size = sizeof(sa_family_t);  // unix(7), "Autobind"
    EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    size = sizeof(address);
    EXPECT_EQ(::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    name_.assign(address.sun_path, size - offsetof(sockaddr_un, sun_path));
    name_[0] = '@';
  }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::string heard() const {
    std::array<char, 512> text{};
    const auto size = ::recv(socket_.get(), text.data(), text.size(), MSG_DONTWAIT);
    return size < 0 ? "" : std::string(text.data(), static_cast<std::size_t>(size));
  }

 private:
  UniqueFd socket_;
  std::string name_;
};

class ServiceManagerTest : public ::testing::Test {
 protected:
  ~ServiceManagerTest() override {
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"})
      ::unsetenv(name);
  }
  Listener listener_;
};

TEST_F(ServiceManagerTest, EachStateIsOneDatagram) {
  ::setenv("NOTIFY_SOCKET", listener_.name().c_str(), 1);
  const auto manager = ServiceManager::from_environment();
  manager.ready("active");
  manager.status("standby");
  manager.alive();
  manager.stopping();
  EXPECT_EQ(listener_.heard(), "READY=1\nSTATUS=active");
  EXPECT_EQ(listener_.heard(), "STATUS=standby");
  EXPECT_EQ(listener_.heard(), "WATCHDOG=1");
  EXPECT_TRUE(listener_.heard().starts_with("STOPPING=1\nSTATUS="));
}

TEST_F(ServiceManagerTest, AStatusCannotSmuggleInAnotherStatement) {
  ::setenv("NOTIFY_SOCKET", listener_.name().c_str(), 1);
  ServiceManager::from_environment().status("no etcd\nMAINPID=1");
  EXPECT_EQ(listener_.heard(), "STATUS=no etcd MAINPID=1");
}

TEST_F(ServiceManagerTest, APathIsAnAddressToo) {
  const std::string path = ::testing::TempDir() + "/notify-" + std::to_string(::getpid());
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  ASSERT_LT(path.size(), sizeof(address.sun_path));
  std::strcpy(address.sun_path, path.c_str());
  const UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  ServiceManager::from_environment().alive();
  std::array<char, 64> text{};
  EXPECT_EQ(::recv(socket.get(), text.data(), text.size(), MSG_DONTWAIT), 10);
  ::unlink(path.c_str());
}

TEST_F(ServiceManagerTest, ChildrenAreNotTheService) {
  ::setenv("NOTIFY_SOCKET", listener_.name().c_str(), 1);
  ::setenv("WATCHDOG_USEC", "1000000", 1);
  (void)ServiceManager::from_environment();
  EXPECT_EQ(std::getenv("NOTIFY_SOCKET"), nullptr);
  EXPECT_EQ(std::getenv("WATCHDOG_USEC"), nullptr);
}

TEST_F(ServiceManagerTest, TheWatchdogIsToldTwiceInItsTime) {
  ::setenv("NOTIFY_SOCKET", listener_.name().c_str(), 1);
  ::setenv("WATCHDOG_USEC", "60000000", 1);
  ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
  EXPECT_EQ(ServiceManager::from_environment().alive_every(), std::chrono::seconds(30));
}

TEST_F(ServiceManagerTest, AnotherProcessesWatchdogIsNotOurs) {
  ::setenv("NOTIFY_SOCKET", listener_.name().c_str(), 1);
  ::setenv("WATCHDOG_USEC", "60000000", 1);
  ::setenv("WATCHDOG_PID", "1", 1);
  EXPECT_FALSE(ServiceManager::from_environment().alive_every());
}

TEST_F(ServiceManagerTest, WithoutAServiceManagerNothingHappens) {
  for (const char* socket : {"", "relative", "@", "/nobody/listens/here"}) {
    ::setenv("NOTIFY_SOCKET", socket, 1);
    ::setenv("WATCHDOG_USEC", "many", 1);
    const auto manager = ServiceManager::from_environment();
    manager.ready("active");
    EXPECT_FALSE(manager.alive_every()) << socket;
  }
  EXPECT_EQ(listener_.heard(), "");
}

}  // namespace
}  // namespace holdfast::lockd
