// SPDX-License-Identifier: Apache-2.0
// Unwind rules of real files, address by address, beside what libdw says of the same address.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <random>

#include "symbols/binary.h"
#include "unit/symbols/frame_referee.h"
#include "unit/symbols/target.h"

namespace memwhy::symbols {
namespace {

namespace fs = std::filesystem;
using testing::Referee;
using Kind = UnwindRule::Kind;

constexpr size_t kAddresses = 20'000;  // of each file

std::string described(const UnwindRule& rule) {
  return "kind " + std::to_string(static_cast<int>(rule.kind)) + ", " + std::to_string(rule.bytes) +
         " bytes, saved " + std::to_string(rule.saved);
}

std::unique_ptr<Binary> open_binary(const std::string& path) {
  auto bytes = FileBytes::open(Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)), uint64_t{4} << 30);
  if (!bytes) return nullptr;
  auto binary = Binary::open(std::move(*bytes));
  return binary ? std::move(*binary) : nullptr;
}

// Addresses of code: some functions from their first byte to their last, and some by chance.
std::vector<uint64_t> some_addresses(const Binary& binary) {
  std::vector<uint64_t> addresses;
  std::mt19937_64 random(1);  // NOLINT: the same ones each time
  std::vector<Segment> code;
  for (const Segment& segment : binary.elf().segments())
    if (segment.exec && segment.file_bytes > 64) code.push_back(segment);
  while (!code.empty() && addresses.size() < kAddresses) {
    const Segment& segment = code[random() % code.size()];
    const uint64_t at = segment.vaddr + random() % (segment.file_bytes - 32);
    for (uint64_t i = 0; i < 32; ++i) addresses.push_back(at + i);
  }
  return addresses;
}

struct Compared {
  size_t equal = 0, different = 0, no_entry = 0, stop = 0;
  size_t kinds[8] = {};
};

Compared compare(Binary& binary, const Referee& referee) {
  Compared all;
  for (const uint64_t address : some_addresses(binary)) {
    const std::optional<uint64_t> offset = binary.elf().offset_of(address);
    if (!offset) continue;
    const FunctionRules rules = binary.frame_rules(*offset, false);
    EXPECT_TRUE(rules.well_formed()) << address;
    const RuleRow* row = rules.row(*offset);
    EXPECT_NE(row, nullptr);
    if (row == nullptr) continue;
    const std::optional<UnwindRule> theirs = referee.rule(address);
    // Stubs are known by their code.
    const bool stub = !theirs && row->at.kind == Kind::kSignal;
    const bool same = theirs ? row->at == *theirs : rules.why == FunctionRules::Why::kNoEntry || stub;
    ++(same ? all.equal : all.different);
    all.no_entry += theirs ? 0 : 1;
    all.stop += theirs && theirs->kind == Kind::kStop ? 1 : 0;
    ++all.kinds[static_cast<size_t>(row->at.kind)];
    EXPECT_TRUE(same || all.different > 5)
        << std::hex << address << ": " << described(row->at) << " why " << static_cast<int>(rules.why)
        << ", libdw: " << (theirs ? described(*theirs) : "no entry");
  }
  return all;
}

std::string first_that_is(const std::vector<std::string>& paths) {
  for (const std::string& path : paths)
    if (fs::exists(path)) return fs::canonical(path).string();
  return "";
}

class FrameReferee : public ::testing::TestWithParam<std::vector<std::string>> {};
INSTANTIATE_TEST_SUITE_P(
    Files, FrameReferee,
    ::testing::Values(
        std::vector<std::string>{"/lib/x86_64-linux-gnu/libc.so.6", "/lib64/libc.so.6"},
        std::vector<std::string>{"/lib64/ld-linux-x86-64.so.2"},
        std::vector<std::string>{"/usr/lib/x86_64-linux-gnu/libstdc++.so.6", "/usr/lib64/libstdc++.so.6"},
        std::vector<std::string>{"/usr/lib/x86_64-linux-gnu/libcrypto.so.3", "/usr/lib64/libcrypto.so.3"},
        std::vector<std::string>{"/usr/bin/python3"}, std::vector<std::string>{"/usr/bin/node"},
        std::vector<std::string>{"/usr/lib/jvm/java-17-openjdk-amd64/lib/server/libjvm.so"}));

TEST_P(FrameReferee, SaysTheSame) {
  const std::string path = first_that_is(GetParam());
  if (path.empty()) GTEST_SKIP() << GetParam().front() << " is not here";
  const std::unique_ptr<Binary> binary = open_binary(path);
  ASSERT_NE(binary, nullptr);
  const Referee referee(path, false);
  ASSERT_TRUE(referee.works());
  const Compared all = compare(*binary, referee);
  EXPECT_EQ(all.different, 0u) << path;
  EXPECT_GT(all.equal, all.no_entry + all.stop + 1000) << "next to nothing was compared";
  RecordProperty("equal", static_cast<int>(all.equal));
  RecordProperty("no_entry", static_cast<int>(all.no_entry));
  RecordProperty("stop", static_cast<int>(all.stop));
  std::string kinds;
  for (const size_t count : all.kinds) kinds += std::to_string(count) + " ";
  RecordProperty("kinds", kinds);
}

}  // namespace
}  // namespace memwhy::symbols
