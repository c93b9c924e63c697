#pragma once
/// Assertions on a call's status, with its message.

#include <grpcpp/support/status.h>
#include <gtest/gtest.h>

namespace holdfast::csi::testing {

inline void expect_ok(const grpc::Status& status) {
  EXPECT_TRUE(status.ok()) << status.error_code() << ": " << status.error_message();
}
/// A refusal has a code for programs and a sentence for people.
inline void expect_code(const grpc::Status& status, grpc::StatusCode code) {
  EXPECT_EQ(status.error_code(), code) << status.error_message();
  EXPECT_EQ(status.error_message().empty(), code == grpc::StatusCode::OK);
}

}  // namespace holdfast::csi::testing
