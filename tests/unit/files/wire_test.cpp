// SPDX-License-Identifier: Apache-2.0
// What a child says is read as if an enemy had written it.
#include "files/wire.h"

#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <random>
#include <string>

#include "files/messages.h"
#include "goruntime/layout_fields.h"

namespace memwhy::files {
namespace {

Bytes bytes(std::initializer_list<int> values) {
  Bytes out;
  for (const int value : values) out.push_back(static_cast<std::byte>(value));
  return out;
}

symbols::OpenedBinary sample() {
  symbols::OpenedBinary opened;
  opened.key = {0x801, 812, 2'000'000, -5};
  opened.path = "/usr/lib/libc.so.6";
  opened.handle = symbols::BinaryHandle{3};
  opened.machine = opened.facts.machine = "x86-64";
  opened.facts.build_id = "0123abcd";
  opened.facts.stripped = true;
  opened.facts.go = events::GoBuild{"go1.26.8", true, false, "x=1"};
  return opened;
}

TEST(Wire, BytesAreThoseOfTheExample) {
  Writer writer;
  writer.number(300U);
  writer.text("libc", 10);
  writer.list(std::vector<uint64_t>{1, 7}, 5, [](auto& codec, uint64_t& value) { codec.number(value); });
  EXPECT_EQ(writer.out(), bytes({0xac, 0x02, 0x04, 'l', 'i', 'b', 'c', 0x02, 0x01, 0x07}));
}

template <typename T>
bool understood(std::span<const std::byte> message) {
  return decode<T>(message).has_value();
}

// A message with one field more makes a seed nothing, and its target blind.
TEST(Wire, TheSeedsOfTheFuzzTargetAreUnderstood) {
  const auto layout = [](std::span<const std::byte> message) {
    return decode_layout(message, 28) != nullptr;
  };
  const std::map<std::string, std::function<bool(std::span<const std::byte>)>> seeds = {
      {"request", understood<Request>},
      {"handover", understood<Handover>},
      {"opened", understood<symbols::OpenedBinary>},
      {"frames", understood<std::vector<symbols::SourceFrames>>},
      {"program", understood<symbols::ProgramFacts>},
      {"path", understood<symbols::ProbedFile>},
      {"layout", layout},
      {"layout_full", layout},
      {"rules", understood<std::vector<symbols::FunctionRules>>}};
  for (const auto& [name, read] : seeds) {
    std::ifstream file(MEMWHY_TEST_DATA "/fuzz/seeds/wire/" + name, std::ios::binary);
    const std::string seed((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    ASSERT_FALSE(seed.empty()) << name;
    EXPECT_TRUE(read(std::as_bytes(std::span(seed)).subspan(1))) << name;
  }
}

TEST(Wire, EveryMessageComesBackAsItWas) {
  const symbols::OpenedBinary opened = sample();
  const auto back = decode<symbols::OpenedBinary>(encode(opened));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->key, opened.key);
  EXPECT_EQ(back->path, opened.path);
  EXPECT_EQ(back->handle, opened.handle);
  EXPECT_EQ(back->facts.build_id, opened.facts.build_id);
  EXPECT_EQ(back->facts.go, opened.facts.go);
  EXPECT_TRUE(back->facts.stripped);

  symbols::ProgramFacts facts;
  facts.machine = "x86-64";
  facts.go_table = symbols::GoTable{0x5a0000, 96};
  facts.segments = {{0x1000, 0x401000, 0x2000, 0x3000, false, true}};
  facts.functions = {std::nullopt, symbols::ProgramFunction{{0x401000, 0x401200}, 0x1000, {0x49, 0x3b}}};
  facts.linked = {true, false};
  const auto facts_back = decode<symbols::ProgramFacts>(encode(facts));
  ASSERT_TRUE(facts_back);
  EXPECT_EQ(facts_back->functions, facts.functions);
  EXPECT_EQ(facts_back->linked, facts.linked);
  ASSERT_EQ(facts_back->segments.size(), 1u);
  EXPECT_EQ(facts_back->segments[0].memory_bytes, 0x3000u);

  Request request;
  request.ask = Ask::kLookUp;
  request.offsets = {{0x1234, true}, {0x99, false}};
  const auto request_back = decode<Request>(encode(request));
  ASSERT_TRUE(request_back);
  ASSERT_EQ(request_back->offsets.size(), 2u);
  EXPECT_EQ(request_back->offsets[0].file_offset, 0x1234u);
  EXPECT_TRUE(request_back->offsets[0].is_return);
}

TEST(Wire, ACutMessageIsNone) {
  const Bytes whole = encode(sample());
  for (size_t length = 0; length < whole.size(); ++length)
    EXPECT_FALSE(decode<symbols::OpenedBinary>(std::span(whole).first(length))) << length;
  Bytes longer = whole;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(decode<symbols::OpenedBinary>(longer)) << "and one with something behind it";
}

// Counts are believed only as far as there are bytes: nothing is allocated for the rest.
TEST(Wire, ACountWithoutItsElementsIsRefused) {
  const Bytes most = bytes({0xff, 0xff, 0xff, 0xff, 0x0f});
  EXPECT_FALSE(decode<std::vector<symbols::SourceFrames>>(most));
  EXPECT_FALSE(decode<Bytes>(most));
  const Bytes beyond = bytes({0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01});  // 2^64 - 1
  EXPECT_FALSE(decode<Bytes>(beyond));
  Reader endless(std::span<const std::byte>{});
  std::vector<uint64_t> none;
  endless.list(none, 10, [](auto& codec, uint64_t& value) { codec.number(value); });
  EXPECT_FALSE(endless.ok());
}

TEST(Wire, NumbersThatDoNotFitAreRefused) {
  const Bytes large = encode(uint64_t{300});
  Reader reader(large);
  uint8_t small = 0;
  reader.number(small);
  EXPECT_FALSE(reader.ok());
  const Bytes two = bytes({2});
  Reader flag(two);
  bool yes = false;
  flag.number(yes);
  EXPECT_FALSE(flag.ok());
}

TEST(Wire, AnAnswerIsAValueAnErrorOrNothing) {
  const Bytes error = encode_error({ErrorCode::kBadInput, "not an ELF file"});
  const auto read = decode_answer(error);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().message(), "not an ELF file");
  EXPECT_EQ(read.error().code(), ErrorCode::kBadInput);
  EXPECT_EQ(decode_answer({}).error().code(), ErrorCode::kInternal);
  EXPECT_EQ(decode_answer(bytes({0, 99, 0})).error().code(), ErrorCode::kInternal) << "no such code";
  const Bytes value = encode_answer(bytes({7}));
  ASSERT_TRUE(decode_answer(value));
  EXPECT_EQ(decode_answer(value)->size(), 1u);
}

TEST(Wire, ALayoutComesBackAndAnAbsurdOneDoesNot) {
  goruntime::DwarfLayout layout;
  layout.layout.mspan.size = 160;
  layout.layout.mspan.npages = {32, 8};
  layout.layout.special_profile_kind = 2;
  layout.wait_reasons = {"", "chan send"};
  const GoLayout back = decode_layout(encode_layout(layout), 99);
  ASSERT_NE(back, nullptr);
  EXPECT_EQ(back->layout.minor, 99);
  EXPECT_EQ(back->layout.mspan.npages.offset, 32u);
  EXPECT_EQ(back->layout.wait_reasons[1], "chan send");
  for (const goruntime::Field absurd : {goruntime::Field{0x7fffffff, 8}, {156, 8}, {160, 1}, {0, 161}}) {
    layout.layout.mspan.npages = absurd;  // not, or not all, in its struct
    EXPECT_EQ(decode_layout(encode_layout(layout), 99), nullptr) << absurd.offset;
  }
  layout.layout.mspan.npages = {};
  layout.layout.g.size = (64 << 10) + 1;  // of each of a million goroutines
  EXPECT_EQ(decode_layout(encode_layout(layout), 99), nullptr);
}

// Random changes of real messages: refused or read, never beyond the bytes (ASan) and never without end.
TEST(Wire, ChangedMessagesAreHarmless) {
  std::mt19937 random(7);
  const Bytes whole = encode(sample());
  int read = 0;
  for (int round = 0; round < 20'000; ++round) {
    Bytes changed = whole;
    for (int i = 0; i < 3; ++i) changed[random() % changed.size()] = static_cast<std::byte>(random());
    read += decode<symbols::OpenedBinary>(changed) ? 1 : 0;
  }
  EXPECT_GT(read, 0);
  EXPECT_LT(read, 20'000);
}

}  // namespace
}  // namespace memwhy::files
