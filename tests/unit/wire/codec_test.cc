#include "holdfast/wire/codec.h"

#include "holdfast/wire/errc.h"
#include "holdfast/wire/frame.h"

#include <string>

#include <gtest/gtest.h>

namespace holdfast::wire {
namespace {

std::span<const std::byte> body_of(const std::string& frame) {
  return std::as_bytes(std::span(frame)).subspan(kFrameHeaderSize);
}

std::span<const std::byte> as_body(std::string_view text) {
  return std::as_bytes(std::span(text));
}

Request sqlite_pending_lock() {
  LockRequest lock;
  lock.file = {.fileid = 2, .handle_hash = 3};
  lock.owner = {4};
  lock.handle = {5};
  lock.kind = OwnerKind::kPosix;
  lock.mode = LockMode::kExclusive;
  lock.range = *ByteRange::make(0x40000000, 0x40000001);
  lock.pid = 6;
  return {.number = {1}, .acknowledged = {0}, .command = lock};
}

// These bytes are the contract: a change here breaks mounts that are not upgraded together with
// lockd (docs/protocol.md, "Worked exchange").
TEST(Codec, ALockRequestHasTheDocumentedBytes) {
  Codec codec;
  std::string bytes;
  ASSERT_TRUE(codec.append_frame(bytes, ClientMessage(sqlite_pending_lock())));
  std::string hex;
  for (const char c : bytes) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(c));
    hex += digits;
  }
  EXPECT_EQ(hex,
            "00000034"                    // length 52
            "1232"                        // ClientMessage.request
            "0801"                        // number 1
            "1a2e"                        // lock
            "0a0b0802110300000000000000"  // file 2, hash 3
            "1001"                        // fcntl space
            "190400000000000000"          // owner 4
            "2005"                        // handle 5
            "28013002"                    // POSIX owner, exclusive
            "3a0c0880808080041081808080"  // [0x40000000,
            "04"                          // 0x40000001)
            "4806");                      // pid 6
}

TEST(Codec, AppendsBehindWhatIsThere) {
  Codec codec;
  std::string bytes = "before";
  ASSERT_TRUE(codec.append_frame(bytes, ServerMessage(Renewed{7})));
  EXPECT_EQ(bytes.substr(0, 6), "before");
  const auto message = codec.decode_server(body_of(bytes.substr(6)));
  ASSERT_TRUE(message);
  EXPECT_EQ(std::get<Renewed>(*message).tick, 7u);
}

TEST(Codec, RefusesWhatDoesNotFitIntoAFrameAndLeavesTheBufferAlone) {
  Codec codec;
  LockList list;
  list.locks.resize(100'000);
  std::string bytes = "before";
  const auto appended = codec.append_frame(bytes, ServerMessage(list));
  ASSERT_FALSE(appended);
  EXPECT_EQ(appended.error(), WireErrc::kFrameTooLarge);
  EXPECT_EQ(bytes, "before");
}

TEST(Codec, ErrorsKeepTheirMeaning) {
  Codec codec;
  for (int value = 1; value <= static_cast<int>(LockErrc::kStaleLockd); ++value) {
    const auto errc = static_cast<LockErrc>(value);
    std::string bytes;
    ASSERT_TRUE(codec.append_frame(bytes, ServerMessage(Reply{{1}, Refused{errc}})));
    const auto message = codec.decode_server(body_of(bytes));
    ASSERT_TRUE(message) << value << ": no row in kErrors?";
    EXPECT_EQ(std::get<Refused>(std::get<Reply>(*message).outcome).errc, errc);
  }
}

std::string bytes_of(const ServerMessage& message) {
  Codec codec;
  std::string bytes;
  EXPECT_TRUE(codec.append_frame(bytes, message));
  return bytes.substr(kFrameHeaderSize);
}

// What is there besides is behind what was there before: a mount that does not know it passes it
// over.
TEST(Codec, ALimitIsNamedBehindTheErrorThatOlderMountsRead) {
  Codec codec;
  for (std::size_t i = 0; i < kLimits; ++i) {
    const auto limit = static_cast<Limit>(i);
    const LimitMet met{.limit = limit, .max = 250'000};
    const std::string bytes = bytes_of(Reply{{1}, Refused{errc_of(limit), met}});
    const auto reply = codec.decode_server(as_body(bytes));
    ASSERT_TRUE(reply);
    const auto& refused = std::get<Refused>(std::get<Reply>(*reply).outcome);
    EXPECT_EQ(refused.errc, errc_of(limit));
    EXPECT_EQ(refused.limit, met) << name_of(limit) << ": no row in kLimitNumbers?";
    const std::string before = bytes_of(Reply{{1}, Refused{errc_of(limit)}});
    ASSERT_EQ(bytes.size(), before.size() + 2 + 6) << "its field, and 6 bytes in it";
    EXPECT_EQ(bytes.substr(2, before.size() - 2), before.substr(2)) << "all that was there";
    const auto hello = codec.decode_server(
        as_body(bytes_of(HelloRefused{.errc = errc_of(limit), .reason = "full", .limit = met})));
    ASSERT_TRUE(hello);
    EXPECT_EQ(std::get<HelloRefused>(*hello).limit, met);
  }
}

TEST(Codec, ALimitOfALaterLockdIsNoReasonToHangUp) {
  Codec codec;
  const std::string_view bytes(
      "\x1a\x0a"                   // reply
      "\x08\x01\x28\x06"           // number 1, TOO_MANY_FILES
      "\x3a\x04\x08\x63\x10\x05",  // limit 99: 5
      12);
  const auto reply = codec.decode_server(as_body(bytes));
  ASSERT_TRUE(reply);
  const auto& refused = std::get<Refused>(std::get<Reply>(*reply).outcome);
  EXPECT_EQ(refused.errc, LockErrc::kTooManyFiles);
  EXPECT_FALSE(refused.limit);
}

TEST(Codec, BytesThatAreNoMessageAreRefused) {
  Codec codec;
  for (const std::string_view text :
       {std::string_view(""), std::string_view("\x00", 1), std::string_view("\xff\xff\xff\xff"),
        std::string_view("GET / HTTP/1.1\r\n"), std::string_view("\x0a\x7f"),
        std::string_view("\x7a\x00", 2)}) {  // field 15: a message of a later version
    EXPECT_FALSE(codec.decode_client(as_body(text)));
    EXPECT_FALSE(codec.decode_server(as_body(text)));
  }
}

// Each changes one thing of a request that is otherwise right.
TEST(Codec, ValuesOutOfRangeAreRefused) {
  Codec codec;
  const auto refused = [&](auto&& change) {
    Request request = sqlite_pending_lock();
    change(request, std::get<LockRequest>(request.command));
    std::string bytes;
    EXPECT_TRUE(codec.append_frame(bytes, ClientMessage(request)));
    const auto decoded = codec.decode_client(body_of(bytes));
    return !decoded && decoded.error() == WireErrc::kMalformed;
  };
  EXPECT_FALSE(refused([](Request&, LockRequest&) {}));
  EXPECT_TRUE(refused([](Request& request, LockRequest&) { request.number = {0}; }));
  EXPECT_TRUE(refused([](Request& request, LockRequest&) { request.acknowledged = {1}; }));
  EXPECT_TRUE(refused([](Request&, LockRequest& lock) { lock.mode = static_cast<LockMode>(9); }));
  EXPECT_TRUE(refused([](Request&, LockRequest& lock) { lock.space = static_cast<LockSpace>(9); }));
  EXPECT_TRUE(refused([](Request&, LockRequest& lock) { lock.kind = static_cast<OwnerKind>(9); }));
  EXPECT_TRUE(
      refused([](Request& request, LockRequest&) { request.command = CancelRequest{{0}}; }));
}

bool decodes(const ClientMessage& message) {
  Codec codec;
  std::string bytes;
  EXPECT_TRUE(codec.append_frame(bytes, message));
  return codec.decode_client(body_of(bytes)).has_value();
}
bool decodes(Command command) {
  return decodes(ClientMessage(Request{{1}, {0}, std::move(command)}));
}
bool decodes(const ServerMessage& message) {
  Codec codec;
  std::string bytes;
  EXPECT_TRUE(codec.append_frame(bytes, message));
  return codec.decode_server(body_of(bytes)).has_value();
}

TEST(Codec, TokenMessagesAreChecked) {
  const FileKey file{2, 3};
  EXPECT_TRUE(decodes(Command(TokenRequest{kVolumeKey, TokenUse::kWrite})));
  EXPECT_FALSE(decodes(Command(TokenRequest{file, static_cast<TokenUse>(9)})));
  EXPECT_TRUE(decodes(Command(TokenRelease{file, {1}, TokenMode::kNone})));
  EXPECT_FALSE(decodes(Command(TokenRelease{file, {1}, TokenMode::kExclusive})));
  EXPECT_FALSE(decodes(Command(TokenRelease{file, {1}, static_cast<TokenMode>(9)})));
  EXPECT_TRUE(decodes(Command(TokenAssert{kVolumeKey, {1}, {{file, TokenMode::kRead}}})));
  EXPECT_FALSE(decodes(Command(TokenAssert{kVolumeKey, {1}, {{file, TokenMode::kNone}}})));
  Reclaim reclaim;
  reclaim.tokens = {{file, TokenMode::kNone}};
  EXPECT_FALSE(decodes(ClientMessage(reclaim)));
  EXPECT_TRUE(decodes(ServerMessage(Reply{{1}, TokenGranted{TokenMode::kShared, {}}})));
  EXPECT_TRUE(decodes(ServerMessage(Reply{{1}, TokenGranted{}}))) << "the volume, not now";
  EXPECT_FALSE(decodes(ServerMessage(Recall{file, {1}, static_cast<TokenMode>(9)})));
}

TEST(Codec, PushedLocksAreOfTheFileThatIsNamed) {
  PushLocks push{{2, 3}, {1}, std::vector<HeldLock>(1)};
  push.locks[0].file = push.file;
  EXPECT_TRUE(decodes(Command(push)));
  push.locks[0].file = {4, 5};
  EXPECT_FALSE(decodes(Command(push)));
}

// lockd takes no longer frame than this from whoever does not reclaim.
TEST(Codec, TheLongestTokenMessagesFitIntoAUsualFrame) {
  const FileKey file{~0ULL, ~0ULL};
  HeldLock lock;
  lock.file = file;
  lock.owner = {~0ULL};
  lock.handle = {~0ULL};
  lock.range = *ByteRange::make(ByteRange::kEnd - 2, ByteRange::kEnd - 1);
  lock.pid = ~0U;
  lock.wal_database = file;
  PushLocks push{file, {~0ULL}, std::vector<HeldLock>(kPushLocksMax, lock)};
  TokenAssert asserted{file, {~0ULL}, std::vector<HeldToken>(kTokenAssertMax)};
  for (HeldToken& token : asserted.tokens)
    token = {file, TokenMode::kExclusive};
  Codec codec;
  for (const Command& command : {Command(push), Command(asserted)}) {
    std::string bytes;
    ASSERT_TRUE(codec.append_frame(bytes, ClientMessage(Request{{~0ULL}, {~0ULL - 1}, command})));
    EXPECT_LE(bytes.size(), kFrameHeaderSize + kUsualFrameSizeMax);
    EXPECT_TRUE(codec.decode_client(body_of(bytes)));
  }
  push.locks.push_back(lock);
  EXPECT_FALSE(decodes(Command(push)));
  asserted.tokens.push_back({file, TokenMode::kExclusive});
  EXPECT_FALSE(decodes(Command(asserted)));
}

TEST(Codec, HelloIsChecked) {
  Codec codec;
  const auto decodes = [&](const Hello& hello) {
    std::string bytes;
    EXPECT_TRUE(codec.append_frame(bytes, ClientMessage(hello)));
    return codec.decode_client(body_of(bytes)).has_value();
  };
  EXPECT_TRUE(decodes(Hello{}));
  Hello long_name;
  long_name.node = std::string(kTextSizeMax + 1, 'n');
  EXPECT_FALSE(decodes(long_name));
  Hello no_versions;
  no_versions.version_min = no_versions.version_max + 1;
  EXPECT_FALSE(decodes(no_versions)) << "minimum above maximum";
  Hello nobody;
  nobody.resume = ResumeSession{};
  EXPECT_FALSE(decodes(nobody)) << "session 0";
  Hello other_bytes;
  other_bytes.mountpoint = "/mnt/\xff\xfe";
  EXPECT_TRUE(decodes(other_bytes)) << "paths need not be UTF-8";
}

// Ranges that no ByteRange can hold, straight from the wire.
TEST(Codec, RangesAreValidOrRefused) {
  Codec codec;
  const std::string head("\x12\x1c\x08\x01\x22\x18", 6);  // request 1, unlock
  const std::string file("\x0a\x0b\x08\x02\x19\3\0\0\0\0\0\0\0", 13);
  const std::string rest("\x10\x01\x22\x04", 4);  // fcntl space, a range of 4 bytes
  const auto decodes = [&](std::string range) {
    const std::string bytes = head + file + rest + range;
    EXPECT_EQ(bytes.size(), 27u);
    std::string fixed = bytes;
    fixed[1] = static_cast<char>(bytes.size() - 2);
    fixed[5] = static_cast<char>(bytes.size() - 6);
    return codec.decode_client(as_body(fixed)).has_value();
  };
  EXPECT_TRUE(decodes(std::string("\x08\x05\x10\x06", 4)));
  EXPECT_TRUE(decodes(std::string("\x08\x05\x10\x00", 4))) << "0 = to the end of the file";
  EXPECT_FALSE(decodes(std::string("\x08\x06\x10\x06", 4))) << "empty";
  EXPECT_FALSE(decodes(std::string("\x08\x07\x10\x06", 4))) << "inverted";
}

}  // namespace
}  // namespace holdfast::wire
