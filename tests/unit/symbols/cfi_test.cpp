// SPDX-License-Identifier: Apache-2.0
// Unwind tables that the test makes: each instruction, what no rule can say, and what an enemy would write.
#include <gtest/gtest.h>
#include <zlib.h>

#include <random>

#include "symbols/binary.h"
#include "unit/symbols/made_file.h"

namespace memwhy::symbols {
namespace {

using testing::MadeFile;
using Kind = UnwindRule::Kind;
using Why = FunctionRules::Why;
using Code = std::vector<uint8_t>;

constexpr uint64_t kBase = 0x400000;                      // link-time address of the file's first byte
constexpr uint64_t kHeader = 0x800, kFrames = 0x1000;     // .eh_frame_hdr, .eh_frame
constexpr uint64_t kText = 0x100000, kFunction = 0x1000;  // the function that is asked about, in the text
constexpr uint64_t kSize = 0x180000;

UnwindRule stack_rule(int32_t bytes, uint16_t saved = 0) { return {Kind::kStack, saved, bytes}; }
UnwindRule frame_rule(int32_t bytes, uint16_t saved = 0) { return {Kind::kFrame, saved, bytes}; }
constexpr UnwindRule kStop{Kind::kStop, 0, 0};

Code operator+(Code a, const Code& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
template <typename T>
Code number(T value) {
  Code bytes(sizeof value);
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

// An unwind section as it grows.
class Frames {
 public:
  explicit Frames(bool debug = false) : debug_(debug) {}

  // What compilers begin with: sp + 8, the return address at CFA - 8.
  size_t common(const Code& program = {0x0c, 7, 8, 0x90, 1}, const std::string& augmentation = "zR") {
    const size_t at = bytes_.size();
    Code body = debug_ ? number(0xffffffffu) : number(0u);
    body.push_back(1);
    if (debug_) return put(body + Code{0, 1, 0x78, 16} + program), at;
    body.insert(body.end(), augmentation.begin(), augmentation.end());
    body = body + Code{0, 1, 0x78, 16};
    if (!augmentation.empty()) body = body + Code{1, 0x1b};
    put(body + program);
    return at;
  }
  size_t function(size_t common, uint64_t begin, uint32_t bytes, const Code& program) {
    const size_t at = bytes_.size();
    if (debug_) {
      put(number(static_cast<uint32_t>(common)) + number(kBase + begin) + number(uint64_t{bytes}) + program);
      return at;
    }
    const size_t body = at + 4;
    const auto start =
        static_cast<int32_t>(static_cast<int64_t>(begin) - static_cast<int64_t>(kFrames + body + 4));
    put(number(static_cast<uint32_t>(body - common)) + number(start) + number(bytes) + Code{0} + program);
    return at;
  }
  void put(const Code& body) { bytes_ = bytes_ + number(static_cast<uint32_t>(body.size())) + body; }
  Code& bytes() { return bytes_; }

 private:
  bool debug_;
  Code bytes_;
};

std::unique_ptr<MadeFile> file_with(const Code& frames, const Code& table = {}) {
  auto file = std::make_unique<MadeFile>(kSize);
  file->headers(2);
  file->program(0, PT_LOAD, PF_R | PF_X, 0, kBase, kSize);
  file->program(1, PT_GNU_EH_FRAME, PF_R, kHeader, kBase + kHeader, 12 + table.size());
  const Code header =
      Code{1, 0x1b, uint8_t(table.empty() ? 0xff : 0x03), uint8_t(table.empty() ? 0xff : 0x3b)} +
      number(static_cast<int32_t>(kFrames - kHeader - 4)) + number(static_cast<uint32_t>(table.size() / 8)) +
      table;
  file->put_bytes(kHeader, header.data(), header.size());
  file->put_bytes(kFrames, frames.data(), frames.size());
  return file;
}

std::unique_ptr<Binary> open(std::unique_ptr<MadeFile> file) {
  auto binary = Binary::open(std::move(file));
  EXPECT_TRUE(binary) << binary.error().message();
  return binary ? std::move(*binary) : nullptr;
}

// One function of 0x100 bytes with this program.
std::unique_ptr<Binary> one_function(const Code& program, const Code& common = {0x0c, 7, 8, 0x90, 1}) {
  Frames frames;
  frames.function(frames.common(common), kText + kFunction, 0x100, program);
  frames.put({});
  return open(file_with(frames.bytes()));
}

UnwindRule at(Binary& binary, uint64_t byte) {
  const uint64_t offset = kText + kFunction + byte;
  const FunctionRules rules = binary.frame_rules(offset, false);
  EXPECT_TRUE(rules.well_formed());
  const RuleRow* row = rules.row(offset);
  return row == nullptr ? UnwindRule{} : row->at;
}

struct Case {
  const char* name;
  Code program;
  UnwindRule first, later;  // at byte 0, and at byte 0x20
};

class Instruction : public ::testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(
    Cfi, Instruction,
    ::testing::Values(
        Case{"none", {}, stack_rule(8), stack_rule(8)}, Case{"nop", {0, 0, 0}, stack_rule(8), stack_rule(8)},
        Case{"advance", {0x50, 0x0e, 16}, stack_rule(8), stack_rule(16)},
        Case{"advance1", {0x02, 0x20, 0x0e, 16}, stack_rule(8), stack_rule(16)},
        Case{"advance1_beyond", {0x02, 0x21, 0x0e, 16}, stack_rule(8), stack_rule(8)},
        Case{"advance2", {0x03, 0x20, 0, 0x0e, 16}, stack_rule(8), stack_rule(16)},
        Case{"advance4", {0x04, 0x20, 0, 0, 0, 0x0e, 16}, stack_rule(8), stack_rule(16)},
        Case{"def_cfa", {0x50, 0x0c, 6, 16}, stack_rule(8), frame_rule(16)},
        Case{"def_cfa_register", {0x50, 0x0e, 16, 0x0d, 6}, stack_rule(8), frame_rule(16)},
        Case{"def_cfa_sf", {0x50, 0x12, 6, 0x7e}, stack_rule(8), frame_rule(16)},
        Case{"def_cfa_offset_sf", {0x50, 0x13, 0x7d}, stack_rule(8), stack_rule(24)},
        Case{"offset", {0x0e, 24, 0x86, 3}, stack_rule(24, 3), stack_rule(24, 3)},
        Case{"offset_of_another", {0x83, 3}, stack_rule(8), stack_rule(8)},
        Case{"offset_extended", {0x0e, 24, 0x05, 6, 3}, stack_rule(24, 3), stack_rule(24, 3)},
        Case{"offset_extended_sf", {0x0e, 24, 0x11, 6, 2}, stack_rule(24, 2), stack_rule(24, 2)},
        Case{"negative_offset", {0x0e, 24, 0x2f, 6, 0x02}, kStop, kStop},  // above the CFA
        Case{"restore", {0x86, 2, 0x50, 0xc6}, stack_rule(8, 2), stack_rule(8)},
        Case{"restore_extended", {0x86, 2, 0x50, 0x06, 6}, stack_rule(8, 2), stack_rule(8)},
        Case{"same_value", {0x86, 2, 0x50, 0x08, 6}, stack_rule(8, 2), stack_rule(8)},
        Case{"undefined_frame", {0x07, 6}, stack_rule(8), stack_rule(8)},
        Case{"undefined_return", {0x50, 0x07, 16}, stack_rule(8), {Kind::kEnd, 0, 0}},
        Case{"in_register", {0x50, 0x09, 6, 3}, stack_rule(8), kStop},
        Case{"val_offset", {0x50, 0x14, 6, 3}, stack_rule(8), kStop},
        Case{"val_offset_sf", {0x50, 0x15, 6, 3}, stack_rule(8), kStop},
        Case{"val_expression", {0x50, 0x16, 6, 1, 0x30}, stack_rule(8), kStop},
        Case{"remember", {0x0a, 0x0e, 64, 0x86, 2, 0x50, 0x0b}, stack_rule(64, 2), stack_rule(8)},
        Case{"args_size", {0x2e, 0x10, 0x50, 0x0e, 16}, stack_rule(8), stack_rule(16)},
        Case{"set_loc_is_relative", {0x01, 0, 0, 0, 0}, kStop, kStop},  // backwards
        Case{"another_register", {0x50, 0x0c, 10, 0}, stack_rule(8), kStop},
        Case{"cfa_below", {0x50, 0x0e, 0}, stack_rule(8), kStop},
        Case{"cfa_not_aligned", {0x50, 0x0e, 12}, stack_rule(8), kStop},
        Case{"cfa_too_far", {0x50, 0x0e, 0x80, 0x80, 0x10}, stack_rule(8), kStop},
        Case{
            "cfa_just_near_enough", {0x50, 0x0e, 0xf8, 0xff, 0x0f}, stack_rule(8), stack_rule((1 << 18) - 8)},
        Case{"saved_too_far", {0x50, 0x86, 0x80, 0x10}, stack_rule(8), kStop},
        Case{"saved_just_near_enough", {0x50, 0x86, 0xff, 0x0f}, stack_rule(8), stack_rule(8, 2047)},
        Case{"return_elsewhere", {0x50, 0x90, 2}, stack_rule(8), kStop},
        Case{"unknown", {0x50, 0x3e}, stack_rule(8), kStop},
        Case{"cut_off", {0x50, 0x0e}, stack_rule(8), kStop},
        Case{"restore_of_nothing", {0x50, 0x0b}, stack_rule(8), kStop},
        Case{"cfa_expression", {0x0f, 2, 0x77, 24}, stack_rule(24), stack_rule(24)},
        Case{"cfa_expression_of_numbers", {0x0f, 4, 0x77, 8, 0x38, 0x22}, stack_rule(16), stack_rule(16)},
        Case{"realigned",
             {0x0f, 3, 0x76, 0x78, 0x06, 0x10, 6, 2, 0x76, 0},
             {Kind::kRealigned, 0, -8},
             {Kind::kRealigned, 0, -8}},
        Case{"realigned_frame_elsewhere", {0x0f, 3, 0x76, 0x78, 0x06}, kStop, kStop},
        Case{"signal",
             {0x0f, 4, 0x77, 0xa0, 1, 6, 0x10, 6, 3, 0x77, 0xf8, 0, 0x10, 16, 3, 0x77, 0xa8, 1},
             {Kind::kSignal, 0, 0},
             {Kind::kSignal, 0, 0}},
        Case{"signal_without_address", {0x0f, 4, 0x77, 0xa0, 1, 6, 0x10, 6, 3, 0x77, 0xf8, 0}, kStop, kStop},
        // A PLT: sp + 8, and 8 more from the byte 0xb of each 16 on.
        Case{"plt",
             {0x0f, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22},
             stack_rule(8),
             stack_rule(8)}),
    [](const auto& one) { return std::string(one.param.name); });

TEST_P(Instruction, MakesThisRule) {
  const auto binary = one_function(GetParam().program);
  EXPECT_EQ(at(*binary, 0), GetParam().first);
  EXPECT_EQ(at(*binary, 0x20), GetParam().later);
  const bool unsaid = GetParam().later == kStop;
  EXPECT_EQ(binary->frame_rules(kText + kFunction + 0x20, false).why, unsaid ? Why::kUnsaid : Why::kRule);
}

TEST(Cfi, SetLocIsRelativeToItself) {
  Frames frames;
  const size_t common = frames.common();
  const uint64_t field = kFrames + frames.bytes().size() + 4 + 13 + 1;
  const auto forward = static_cast<int32_t>(kText + kFunction + 0x20 - field);
  frames.function(common, kText + kFunction, 0x100, Code{0x01} + number(forward) + Code{0x0e, 16});
  const auto binary = open(file_with(frames.bytes()));
  EXPECT_EQ(at(*binary, 0x1f), stack_rule(8));
  EXPECT_EQ(at(*binary, 0x20), stack_rule(16));
}

TEST(Cfi, APltHasARuleForEachAddress) {
  const auto binary = one_function({0x0f, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22});
  for (uint64_t byte = 0; byte < 0x100; ++byte)
    EXPECT_EQ(at(*binary, byte), stack_rule(byte % 16 >= 11 ? 16 : 8)) << byte;
}

TEST(Cfi, ALargePltIsAnsweredInParts) {
  Frames frames;
  constexpr uint32_t kBytes = 0x40000;
  frames.function(frames.common(), kText, kBytes,
                  {0x0f, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22});
  const auto binary = open(file_with(frames.bytes()));
  for (const uint64_t byte : {uint64_t{0}, uint64_t{0x1000c}, uint64_t{kBytes - 1}}) {
    const FunctionRules rules = binary->frame_rules(kText + byte, false);
    EXPECT_TRUE(rules.well_formed());
    EXPECT_EQ(rules.why, Why::kRule);
    EXPECT_EQ(rules.row(kText + byte)->at, stack_rule(byte % 16 >= 11 ? 16 : 8));
    for (const RuleRow& row : rules.rows) EXPECT_NE(row.at.kind, Kind::kStop);
  }
}

TEST(Cfi, TooManyRowsAreThoseAroundTheAddress) {
  Frames frames;
  Code program;
  for (int i = 0; i < 10'000; ++i) program = program + Code{0x41, 0x0e, uint8_t(8 + 8 * (i % 2))};
  frames.function(frames.common(), kText, 0x8000, program);
  const auto binary = open(file_with(frames.bytes()));
  for (const uint64_t byte : {1u, 5000u, 9998u, 0x7fffu}) {
    const FunctionRules rules = binary->frame_rules(kText + byte, false);
    EXPECT_TRUE(rules.well_formed());
    EXPECT_EQ(rules.rows.size(), FunctionRules::kMostRows);
    ASSERT_TRUE(rules.contains(kText + byte));
    EXPECT_EQ(rules.row(kText + byte)->at, stack_rule(byte >= 10'000 || byte % 2 == 0 ? 16 : 8));
  }
}

TEST(Cfi, TheSortedTableIsUsedAndTheSectionWithoutIt) {
  Frames frames;
  Code table;
  const size_t common = frames.common();
  for (uint64_t i = 0; i < 64; ++i) {
    const uint64_t begin = kText + i * 0x100;
    const size_t entry = frames.function(common, begin, 0x80, {0x0e, uint8_t(8 + 8 * (i % 8))});
    table = table + number(static_cast<int32_t>(begin - kHeader)) +
            number(static_cast<int32_t>(kFrames + entry - kHeader));
  }
  frames.put({});
  const auto with = open(file_with(frames.bytes(), table)), without = open(file_with(frames.bytes()));
  for (uint64_t byte = 0; byte < 64 * 0x100; byte += 7) {
    const FunctionRules a = with->frame_rules(kText + byte, false),
                        b = without->frame_rules(kText + byte, false);
    EXPECT_EQ(a, b) << byte;
    EXPECT_EQ(a.why, byte % 0x100 < 0x80 ? Why::kRule : Why::kNoEntry);
    const uint64_t end = kText + byte / 0x100 * 0x100 + (byte % 0x100 < 0x80 ? 0x80 : 0x100);
    if (byte / 0x100 < 63) {
      EXPECT_EQ(a.end, end);
    }
  }
  // The table says nothing that its entries do not say.
  Code lies = table;
  lies[4] ^= 0x40;
  EXPECT_NE(open(file_with(frames.bytes(), lies))->frame_rules(kText + 1, false).why, Why::kRule);
}

TEST(Cfi, AReturnAddressIsLookedUpInItsCall) {
  Frames frames;
  const size_t common = frames.common();
  frames.function(common, kText, 0x100, {0x0e, 32});
  frames.function(common, kText + 0x100, 0x100, {0x0e, 64});
  const auto binary = open(file_with(frames.bytes()));
  const FunctionRules returned = binary->frame_rules(kText + 0x100, true);
  EXPECT_EQ(returned.begin, kText);
  EXPECT_EQ(returned.rows.front().after_call, stack_rule(32));
  EXPECT_EQ(binary->frame_rules(kText + 0x100, false).begin, kText + 0x100);
}

std::unique_ptr<MadeFile> with_text(const Code& frames, uint64_t at, const std::string& code) {
  auto file = file_with(frames);
  file->text(at, code);
  return file;
}

TEST(Cfi, StubsThatNoTableKnowsAreKnownByTheirCode) {
  const std::string sigreturn("\x48\xc7\xc0\x0f\0\0\0\x0f\x05", 9);
  const std::string context("\x48\x89\xdc\x48\x8b\x3c\x24\x48\x85\xff", 10);
  Frames frames;
  frames.function(frames.common(), kText, 0x100, {});
  const uint64_t gap = kText + 0x1000;
  for (const uint64_t place : {gap, kText + 0x100}) {
    const auto binary = open(with_text(frames.bytes(), place, sigreturn));
    const auto rule = [&](uint64_t offset, bool is_return) {
      const FunctionRules rules = binary->frame_rules(offset, is_return);
      EXPECT_TRUE(rules.well_formed());
      const RuleRow* row = rules.row(is_return ? offset - 1 : offset);
      return is_return ? row->after_call : row->at;
    };
    EXPECT_EQ(rule(place, true).kind, Kind::kSignal);
    EXPECT_EQ(rule(place, false).kind, Kind::kSignal);
    EXPECT_EQ(rule(place + 7, false).kind, Kind::kSignal) << "in the system call";
    EXPECT_NE(rule(place + 1, true).kind, Kind::kSignal);
    EXPECT_NE(rule(place - 1, false).kind, Kind::kSignal);
  }
  const auto coroutine = open(with_text(frames.bytes(), gap, context));
  const FunctionRules rules = coroutine->frame_rules(gap, true);
  EXPECT_EQ(rules.row(gap - 1)->after_call.kind, Kind::kEnd);
  EXPECT_EQ(rules.row(gap)->at, kFramePointerRule) << "it runs itself, too";
}

TEST(Cfi, WhereAProgramIsEnteredHasNoCaller) {
  // As glibc's loader begins: mov %rsp,%rdi; call; …; jmp *%r12, and a nop between it and what comes next.
  const std::string start("\x48\x89\xe7\xe8\xf8\x0b\0\0\x49\x89\xc4\x41\xff\xe4\x0f\x1f\0\x53\x48\x89\xfb",
                          21);
  const uint64_t entry = kText + 0x1000;
  Frames frames;
  frames.function(frames.common(), kText, 0x100, {});
  auto file = with_text(frames.bytes(), entry, start);
  file->put(offsetof(Elf64_Ehdr, e_entry), kBase + entry);
  const auto binary = open(std::move(file));
  const auto row = [&](uint64_t offset) {
    const FunctionRules rules = binary->frame_rules(offset, false);
    EXPECT_TRUE(rules.well_formed());
    return *rules.row(offset);
  };
  EXPECT_EQ(row(entry).at.kind, Kind::kEnd) << "interrupted at once";
  EXPECT_EQ(row(entry + 7).after_call.kind, Kind::kEnd) << "the call returns there";
  EXPECT_EQ(row(entry + 10).at.kind, Kind::kEnd);
  EXPECT_EQ(row(entry + 11).at, kFramePointerRule) << "it has jumped away";
  EXPECT_EQ(row(entry + 20).at, kFramePointerRule) << "another function";
  EXPECT_EQ(row(entry - 1).at, kFramePointerRule);
}

TEST(Cfi, CodeWithoutTablesThatMakesFramesHasThem) {
  const uint64_t gap = kText + 0x2000,
                 far = 0x1800;  // further from the frame that it makes than a gap is looked at
  const std::string made("\x90\x55\x48\x89\xe5\x90", 6), padding("\xcc\xcc\xcc");
  Frames frames;
  frames.function(frames.common(), kText, 0x100, {});
  auto file = with_text(frames.bytes(), gap, made);
  file->text(gap + far + 8, padding);
  const auto binary = open(std::move(file));
  const auto row = [&](uint64_t offset) {
    const FunctionRules rules = binary->frame_rules(offset, true);
    EXPECT_TRUE(rules.well_formed());
    return *rules.row(offset);
  };
  EXPECT_EQ(row(gap).after_call, kFramePointerRule) << "a guess: its frame is not made yet";
  for (const uint64_t offset : {gap + 5, gap + 100, gap + far, gap + far + 7}) {
    EXPECT_EQ(row(offset).after_call.kind, Kind::kKept) << offset - gap;
    EXPECT_EQ(row(offset).at.kind, Kind::kKept) << offset - gap;
  }
  EXPECT_EQ(row(gap + far + 8).after_call, kFramePointerRule);
  EXPECT_EQ(row(gap + far + 100).after_call, kFramePointerRule) << "another function, which makes none";
}

// As V8's builtin functions: padding within a function, a frame only around each call.
TEST(Cfi, CodeThatMakesTypedFramesHasOneAtEachCall) {
  const uint64_t gap = kText + 0x2000;
  const std::string padding("\xcc\xcc\xcc"), call("\x90\xff\xd0\x90");
  for (const size_t frames_made : {3, 4}) {
    std::string code;
    for (size_t i = 0; i < frames_made; ++i) code += std::string("\x55\x48\x89\xe5\x6a\x22", 6) + padding;
    const uint64_t returns = gap + code.size() + 3;
    Frames frames;
    frames.function(frames.common(), kText, 0x100, {});
    const auto binary = open(with_text(frames.bytes(), gap, code + call));
    const FunctionRules rules = binary->frame_rules(returns - 1, true);
    EXPECT_TRUE(rules.well_formed());
    EXPECT_EQ(rules.row(returns - 1)->after_call.kind, frames_made == 4 ? Kind::kKept : Kind::kFrame);
    EXPECT_EQ(rules.row(returns)->at, kFramePointerRule) << "behind the padding it may have none";
  }
}

TEST(Cfi, WhatTheLoaderCallsFirstHasPushedNothingWhenItBegins) {
  constexpr uint64_t kSections = 0x40000, kNames = 0x41000, kInit = kText + 0x2000;
  for (const uint64_t flags : {uint64_t{SHF_EXECINSTR}, uint64_t{0}}) {
    Frames frames;
    frames.function(frames.common(), kText, 0x100, {});
    auto file = std::make_unique<MadeFile>(kSize);
    file->headers(1, kSections, 4, 3);
    file->program(0, PT_LOAD, PF_R | PF_X, 0, kBase, kSize);
    file->put_bytes(kFrames, frames.bytes().data(), frames.bytes().size());
    Elf64_Shdr sections[4] = {};
    sections[1] = {1, SHT_PROGBITS, SHF_ALLOC | flags, kBase + kInit, kInit, 0x17, 0, 0, 4, 0};
    sections[2] = {7, SHT_PROGBITS, SHF_ALLOC, kBase + kFrames, kFrames, frames.bytes().size(), 0, 0, 1, 0};
    sections[3] = {0, SHT_STRTAB, 0, 0, kNames, 64, 0, 0, 1, 0};
    file->put(kSections, sections);
    file->text(kNames + 1, ".init");
    file->text(kNames + 7, ".eh_frame");
    const auto binary = open(std::move(file));
    const FunctionRules rules = binary->frame_rules(kInit, false);
    EXPECT_TRUE(rules.well_formed());
    EXPECT_EQ(rules.row(kInit)->at, flags != 0 ? stack_rule(8) : kFramePointerRule);
    EXPECT_EQ(rules.row(kInit)->after_call, kFramePointerRule);
    EXPECT_EQ(rules.row(kInit - 1)->at, kFramePointerRule);
    EXPECT_EQ(rules.row(kInit + 4)->at, kFramePointerRule) << "from here on it may have a frame of any kind";
  }
}

TEST(Cfi, DebugFrameIsReadAlsoWhenItIsCompressed) {
  Frames frames(true);
  frames.function(frames.common(), kText + kFunction, 0x100, {0x50, 0x0e, 32});
  uLongf packed_bytes = ::compressBound(frames.bytes().size());
  Code packed(packed_bytes);
  ASSERT_EQ(::compress(packed.data(), &packed_bytes, frames.bytes().data(), frames.bytes().size()), Z_OK);
  packed.resize(packed_bytes);
  Elf64_Chdr header{};
  header.ch_type = ELFCOMPRESS_ZLIB;
  header.ch_size = frames.bytes().size();
  packed = number(header) + packed;
  Code damaged = packed;
  damaged.back() ^= 1;
  for (const auto& [bytes, compressed, good] :
       {std::tuple(frames.bytes(), false, true), {packed, true, true}, {damaged, true, false}}) {
    auto file = std::make_unique<MadeFile>(kSize);
    constexpr uint64_t kSections = 0x40000, kNames = 0x41000;
    file->headers(1, kSections, 3, 2);
    file->program(0, PT_LOAD, PF_R | PF_X, 0, kBase, kSize);
    file->put_bytes(kFrames, bytes.data(), bytes.size());
    Elf64_Shdr sections[3] = {};
    sections[1] = {
        1, SHT_PROGBITS, compressed ? uint64_t{SHF_COMPRESSED} : 0, 0, kFrames, bytes.size(), 0, 0, 1, 0};
    sections[2] = {0, SHT_STRTAB, 0, 0, kNames, 64, 0, 0, 1, 0};
    file->put(kSections, sections);
    file->text(kNames + 1, ".debug_frame");
    const auto binary = open(std::move(file));
    EXPECT_EQ(at(*binary, 0x20), good ? stack_rule(32) : kFramePointerRule);
    EXPECT_EQ(binary->frame_rules(kText + kFunction, false).why, good ? Why::kRule : Why::kNoEntry);
  }
}

// Whatever is cut off or turned over: an answer that is well formed.
TEST(Cfi, DamagedTablesGiveWellFormedAnswers) {
  Frames frames;
  const size_t common = frames.common();
  for (uint64_t i = 0; i < 8; ++i)
    frames.function(common, kText + i * 0x100, 0x100,
                    {0x41, 0x0e, 16, 0x86, 2, 0x43, 0x0d, 6, 0x0a, 0x50, 0x0b, 0x0f, 3, 0x76, 0x78, 0x06});
  std::mt19937_64 random(7);  // NOLINT: the same each time
  for (int round = 0; round < 3000; ++round) {
    Code bytes = frames.bytes();
    if (round % 3 == 0) bytes.resize(random() % bytes.size());
    for (uint64_t i = 0; i < 1 + random() % 4 && !bytes.empty(); ++i)
      bytes[random() % bytes.size()] = static_cast<uint8_t>(random() % 4 == 0 ? 0xff : random());
    const auto binary = open(file_with(bytes));
    for (int i = 0; i < 4; ++i) {
      const uint64_t offset = kText + random() % 0x900;
      const FunctionRules rules = binary->frame_rules(offset, false);
      EXPECT_TRUE(rules.well_formed());
      EXPECT_TRUE(rules.contains(offset));
    }
  }
}

// How much of the file a question reads, and how long the sum of the answers is.
void expect_bounded(std::unique_ptr<MadeFile> file) {
  const auto asked = file->share_asked();
  const auto binary = open(std::move(file));
  for (uint64_t i = 0; i < 200; ++i)
    EXPECT_TRUE(binary->frame_rules(kText + kFunction + i, i % 2 == 0).well_formed());
  EXPECT_LT(asked->bytes, uint64_t{2} << 30);
  EXPECT_LT(asked->reads, 10'000'000u);
}

TEST(Cfi, AnIndexOfAHugeSectionIsBounded) {
  // Small entries that all name the same beginning of everything, for gigabytes.
  Frames frames;
  const size_t common = frames.common();
  const size_t at = frames.function(common, kText + kFunction, 0x100, Code(3, 0));
  const Code entry(frames.bytes().begin() + static_cast<ptrdiff_t>(at), frames.bytes().end());
  auto file = std::make_unique<MadeFile>(uint64_t{8} << 30);
  file->headers(2);
  file->program(0, PT_LOAD, PF_R | PF_X, 0, kBase, uint64_t{8} << 30);
  file->program(1, PT_GNU_EH_FRAME, PF_R, kHeader, kBase + kHeader, 12);
  const Code header =
      Code{1, 0x1b, 0xff, 0xff} + number(static_cast<int32_t>(kFrames - kHeader - 4)) + number(0u);
  file->put_bytes(kHeader, header.data(), header.size());
  file->put_bytes(kFrames, entry.data(), entry.size(), (uint64_t{7} << 30) / entry.size());
  file->put_bytes(kFrames, frames.bytes().data(), frames.bytes().size());
  expect_bounded(std::move(file));
}

TEST(Cfi, ExpressionBombsAndEndlessStatesAreBounded) {
  Code doubling{0x77, 8};
  for (int i = 0; i < 4000; ++i) doubling = doubling + Code{0x12, 0x22};  // dup, plus
  Code bomb = Code{0x80, 0} + doubling;
  Code length;
  for (size_t rest = bomb.size(); rest != 0; rest >>= 7)
    length.push_back(static_cast<uint8_t>((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0)));
  Frames frames;
  Code remembering(4000, 0x0a);
  frames.function(frames.common(), kText, 0x40000, Code{0x0f} + length + bomb + remembering);
  expect_bounded(file_with(frames.bytes()));
  EXPECT_EQ(at(*open(file_with(frames.bytes())), 5), kStop);
}

TEST(Cfi, EntriesThatPointAtEachOtherEnd) {
  Frames frames;
  const size_t common = frames.common();
  const size_t a = frames.function(common, kText + kFunction, 0x100, {});
  frames.function(a, kText + kFunction, 0x100, {});              // its CIE is a function
  frames.function(frames.bytes().size() + 4, kText, 0x100, {});  // it is its own
  auto& bytes = frames.bytes();
  Code wide = number(0xffffffffu) + number(~uint64_t{0} - 3) + number(0u);
  bytes = bytes + wide;
  const auto binary = open(file_with(bytes));
  EXPECT_EQ(at(*binary, 0), stack_rule(8));
  EXPECT_EQ(binary->frame_rules(kText, false).why, Why::kNoEntry);
}

}  // namespace
}  // namespace memwhy::symbols
