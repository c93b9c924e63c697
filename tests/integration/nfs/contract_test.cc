// The backend contract over NFS: our client against nfs-ganesha.

#include "fs/backend/nfs3/nfs3_backend.h"
#include "tests/integration/dir/backend_contract.h"
#include "tests/support/nfs/ganesha_server.h"

#include <filesystem>

namespace holdfast::fs::testing {
namespace {

class NfsEnvironment final : public BackendEnvironment {
 public:
  Result<std::unique_ptr<Backend>> make(boost::asio::io_context& io) override {
    nfs3::Options options;
    options.server = "127.0.0.1";
    options.path = "/export";
    std::optional<nfs3::Nfs3Backend::Outcome> outcome;
    boost::asio::co_spawn(io, nfs3::Nfs3Backend::mount(io.get_executor(), options),
                          [&](std::exception_ptr failure, nfs3::Nfs3Backend::Outcome value) {
                            if (failure) std::rethrow_exception(failure);
                            outcome = std::move(value);
                          });
    io.restart();
    while (!outcome)
      io.run_one();
    if (!outcome->backend) {
      ADD_FAILURE() << outcome->failure.text;
      return outcome->failure.code;
    }
    return std::unique_ptr<Backend>(std::move(outcome->backend));
  }

 private:
  GaneshaServer server_;
};

std::unique_ptr<BackendEnvironment> make_nfs_environment() {
  return std::make_unique<NfsEnvironment>();
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Nfs3, BackendContract, ::testing::Values(&make_nfs_environment));

}  // namespace holdfast::fs::testing
