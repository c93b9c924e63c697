// The driver as Kubernetes sees it. Everything here needs root; it fails, not skips, without.
#include "tests/csi/sealed.h"
#include "tests/csi/servers.h"

#include <memory>

#include <gtest/gtest.h>

namespace holdfast::csi::testing {
namespace {
std::unique_ptr<Servers> all_servers;
}
Servers& servers() {
  if (!all_servers) all_servers = std::make_unique<Servers>();
  return *all_servers;
}
void end_servers() {
  all_servers.reset();
}
}  // namespace holdfast::csi::testing

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  holdfast::csi::testing::seal();
  const int status = RUN_ALL_TESTS();
  holdfast::csi::testing::end_servers();
  return status;
}
