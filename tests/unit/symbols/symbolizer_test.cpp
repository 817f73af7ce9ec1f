// SPDX-License-Identifier: Apache-2.0
// From addresses of live processes to names: files that were deleted or replaced, code without a file,
// budgets, and files that are not what the mapping says (by a made-up proc directory).
#include "symbols/symbolizer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <map>

#include "symbols/local_binaries.h"
#include "symbols/target_files.h"
#include "unit/symbols/target.h"
#include "unit/unwind/no_binaries.h"

namespace memwhy::symbols {
namespace {

namespace fs = std::filesystem;
using testing::Target;

// A program that prints addresses of its functions, of code without a file, and of things that are not code.
std::string build_program(const std::string& name, int variant) {
  const std::string folder = testing::scratch_directory("program");
  std::ofstream(folder + "/" + name + ".cpp")
      << "#include <cstdio>\n#include <sys/auxv.h>\n#include <sys/mman.h>\n"
         "namespace shop { __attribute__((noinline)) int price_"
      << variant
      << "(int n) { return n * 3; } }\n"
         "int main() {\n"
         "  void* jit = mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, "
         "-1, 0);\n"
         "  std::printf(\"%lx\\n%lx\\n%lx\\n%lx\\n\", (unsigned long)shop::price_"
      << variant
      << ", (unsigned long)jit, getauxval(AT_SYSINFO_EHDR) + 64, (unsigned long)&jit);\n"
         "  std::puts(\"done\");\n  std::fflush(stdout);\n  return getchar() + shop::price_"
      << variant << "(1) == 0;\n}\n";
  const auto built =
      testing::run("c++ -O1 -o '" + folder + "/" + name + "' '" + folder + "/" + name + ".cpp'");
  EXPECT_EQ(built.status, 0) << built.output;
  return folder + "/" + name;
}

struct Collected {
  std::vector<events::BinaryInfo> binaries;
  std::vector<events::SymbolInfo> symbols;
  Symbolizer::Emit emit() {
    return [this](const events::Event& event) {
      EXPECT_GT(event.time, 0u);
      if (const auto* binary = std::get_if<events::BinaryInfo>(&event.payload)) binaries.push_back(*binary);
      if (const auto* symbol = std::get_if<events::SymbolInfo>(&event.payload)) symbols.push_back(*symbol);
    };
  }
};

events::Stack stack_of(std::vector<uint64_t> frames) {
  events::Stack stack;
  stack.frames = std::move(frames);
  return stack;
}

std::vector<events::Stack> stacks_of(std::vector<std::vector<uint64_t>> frames) {
  std::vector<events::Stack> stacks;
  for (std::vector<uint64_t>& one : frames) stacks.push_back(stack_of(std::move(one)));
  return stacks;
}

std::vector<uint64_t> addresses(const Target& target) {
  std::vector<uint64_t> numbers;
  for (const std::string& line : target.lines()) numbers.push_back(std::stoull(line, nullptr, 16));
  return numbers;
}

TEST(Symbolizer, NamesWhatIsExecutableOnce) {
  const std::string program = build_program("one", 1);
  const Target target(program);
  const auto at = addresses(target);
  ASSERT_EQ(at.size(), 4u);
  const auto vmas = target.vmas();
  Collected got;
  LocalBinaries binaries(testing::open_proc());
  Symbolizer symbolizer(binaries);
  const events::Stack stack = stack_of({at[0], at[0] + 1, at[1] + 8, at[2], at[3], 0x1000});
  symbolizer.resolve(target.pid(), SpaceId{7}, vmas, std::span(&stack, 1), got.emit());
  symbolizer.resolve(target.pid(), SpaceId{7}, vmas, std::span(&stack, 1), got.emit());

  ASSERT_EQ(got.binaries.size(), 1u);
  const events::BinaryInfo& binary = got.binaries[0];
  EXPECT_EQ(binary.id, BinaryId{1});
  EXPECT_EQ(binary.path, program);
  EXPECT_FALSE(binary.stripped || binary.unreadable);
  EXPECT_FALSE(binary.go.has_value());
  struct stat st {};
  ASSERT_EQ(::stat(program.c_str(), &st), 0);
  EXPECT_EQ(binary.inode, st.st_ino);
  EXPECT_EQ(binary.device, st.st_dev);

  ASSERT_EQ(got.symbols.size(), 4u) << "the stack's and the unmapped address are no code";
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(got.symbols[i].space, SpaceId{7});
    EXPECT_EQ(got.symbols[i].address, at[0] + i);
    EXPECT_EQ(got.symbols[i].is_return, i == 1);
    EXPECT_EQ(got.symbols[i].binary, BinaryId{1});
    ASSERT_EQ(got.symbols[i].frames.size(), 1u);
    EXPECT_EQ(got.symbols[i].frames[0].function, "shop::price_1(int)");
  }
  const auto vma =
      std::find_if(vmas.begin(), vmas.end(), [&](const auto& one) { return one.range.contains(at[0]); });
  EXPECT_EQ(got.symbols[0].file_offset, at[0] - vma->range.start + vma->offset);
  EXPECT_EQ(got.symbols[2].address, at[1] + 8);
  EXPECT_EQ(got.symbols[2].binary, BinaryId::kNone);
  EXPECT_TRUE(got.symbols[2].frames.empty());
  EXPECT_EQ(got.symbols[3].binary, BinaryId::kNone);
  ASSERT_EQ(got.symbols[3].frames.size(), 1u);
  EXPECT_EQ(got.symbols[3].frames[0].function, "[vdso]");

  // Another space says its symbols again, and shares the binary.
  symbolizer.resolve(target.pid(), SpaceId{8}, vmas, std::span(&stack, 1), got.emit());
  EXPECT_EQ(got.binaries.size(), 1u);
  EXPECT_EQ(got.symbols.size(), 8u);
  EXPECT_EQ(symbolizer.executable(target.pid(), got.emit()).binary, BinaryId{1});
  EXPECT_EQ(got.binaries.size(), 1u);
  EXPECT_EQ(symbolizer.executable(target.pid(), got.emit()).machine, "x86-64");

  // What was said of spaces that ended is not kept; a binary is said once all the same.
  for (uint32_t space = 100; space < 1100; ++space) {
    symbolizer.resolve(target.pid(), SpaceId{space}, vmas, stacks_of({{at[0]}}), got.emit());
    symbolizer.forget(SpaceId{space});
  }
  EXPECT_EQ(symbolizer.spaces(), 2u);
  EXPECT_EQ(got.symbols.size(), 1008u);
  EXPECT_EQ(got.binaries.size(), 1u);
}

TEST(Symbolizer, ProgramDeletedOrReplacedOnDisk) {
  const std::string first = build_program("first", 1), second = build_program("second", 2);
  for (const bool replaced : {false, true}) {
    const std::string moving = first + ".moving";
    fs::remove(moving);
    fs::copy_file(first, moving);
    const Target target(moving);
    const auto at = addresses(target);
    ASSERT_EQ(at.size(), 4u);
    fs::remove(moving);
    if (replaced) fs::copy_file(second, moving);
    Collected got;
    LocalBinaries binaries(testing::open_proc());
    Symbolizer symbolizer(binaries);
    symbolizer.resolve(target.pid(), SpaceId{1}, target.vmas(), stacks_of({{at[0]}}), got.emit());
    ASSERT_EQ(got.symbols.size(), 1u);
    ASSERT_EQ(got.symbols[0].frames.size(), 1u);
    EXPECT_EQ(got.symbols[0].frames[0].function, "shop::price_1(int)");
    ASSERT_EQ(got.binaries.size(), 1u);
    EXPECT_EQ(got.binaries[0].path, moving + " (deleted)");
    EXPECT_EQ(symbolizer.executable(target.pid(), got.emit()).binary, BinaryId{1});
  }
}

TEST(Symbolizer, BinariesAreDroppedAndOpenedAgain) {
  const Target first(build_program("first", 1)), second(build_program("second", 2));
  const auto a = addresses(first), b = addresses(second);
  ASSERT_TRUE(a.size() == 4 && b.size() == 4);
  Collected got;
  BinaryLimits limits;
  limits.open_files = 1;
  LocalBinaries binaries(testing::open_proc(), limits);
  Symbolizer symbolizer(binaries);
  for (uint64_t round = 0; round < 3; ++round) {
    symbolizer.resolve(first.pid(), SpaceId{1}, first.vmas(), stacks_of({{a[0] + round}}), got.emit());
    EXPECT_EQ(binaries.table().open(), 1u);
    symbolizer.resolve(second.pid(), SpaceId{2}, second.vmas(), stacks_of({{b[0] + round}}), got.emit());
    EXPECT_EQ(binaries.table().open(), 1u);
  }
  EXPECT_EQ(got.binaries.size(), 2u);
  ASSERT_EQ(got.symbols.size(), 6u);
  for (size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(got.symbols[i].binary, BinaryId{static_cast<uint32_t>(1 + i % 2)});
    ASSERT_EQ(got.symbols[i].frames.size(), 1u) << i;
    EXPECT_EQ(got.symbols[i].frames[0].function, i % 2 == 0 ? "shop::price_1(int)" : "shop::price_2(int)");
  }
}

TEST(Symbolizer, ProcessIsGone) {
  const std::string program = build_program("one", 1);
  const Target alive(program);
  std::vector<uint64_t> at;
  std::vector<events::Vma> vmas;
  Pid gone = 0;
  {
    const Target target(program);
    at = addresses(target);
    vmas = target.vmas();
    gone = target.pid();
  }
  ASSERT_EQ(at.size(), 4u);
  Collected got;
  LocalBinaries binaries(testing::open_proc());
  Symbolizer symbolizer(binaries);
  symbolizer.resolve(gone, SpaceId{1}, vmas, stacks_of({{at[0]}}), got.emit());
  ASSERT_EQ(got.binaries.size(), 1u);
  EXPECT_TRUE(got.binaries[0].unreadable);
  EXPECT_NE(got.binaries[0].problem, "");
  ASSERT_EQ(got.symbols.size(), 1u);
  EXPECT_TRUE(got.symbols[0].frames.empty());
  EXPECT_EQ(symbolizer.executable(gone, got.emit()).binary, BinaryId::kNone);
  EXPECT_EQ(symbolizer.executable(gone, got.emit()).machine, "");

  // Its file, seen through another process that lives, names it.
  symbolizer.resolve(alive.pid(), SpaceId{2}, alive.vmas(), stacks_of({{addresses(alive)[0]}}), got.emit());
  symbolizer.resolve(gone, SpaceId{3}, vmas, stacks_of({{at[0]}}), got.emit());
  ASSERT_EQ(got.symbols.size(), 3u);
  ASSERT_EQ(got.symbols[2].frames.size(), 1u);
  EXPECT_EQ(got.symbols[2].frames[0].function, "shop::price_1(int)");
  EXPECT_EQ(got.symbols[2].binary, got.symbols[1].binary);
}

// One file with a function every 16 bytes. It fails as often as it should, and counts.
class FlakyBinaries final : public unwind::NoBinaries {
 public:
  Result<OpenedBinary> open_mapping(Pid, const events::Vma&) override {
    ++opens;
    if (fail_open-- > 0) return no();
    OpenedBinary opened;
    opened.key = {1, 2, 3, 4};
    opened.handle = BinaryHandle{1};
    return opened;
  }
  Result<std::vector<SourceFrames>> look_up(BinaryHandle, std::span<const CodeOffset> at) override {
    ++look_ups;
    if (fail_look_up-- > 0) return no();
    std::vector<SourceFrames> out;
    for (const CodeOffset& each : at)
      out.push_back({{"function " + std::to_string(each.file_offset / 16), "", 0}});
    return out;
  }
  int fail_open = 0, fail_look_up = 0, opens = 0, look_ups = 0;
};

class AskedAgain : public ::testing::Test {
 protected:
  void SetUp() override {
    vmas_.resize(1);
    vmas_[0].range = {0x10000, 0x20000};
    vmas_[0].exec = true;
    vmas_[0].inode = 2;
    vmas_[0].name = "/usr/lib/lib.so";
  }
  // What the last call emitted of each address: "0x10010 function 1".
  std::vector<std::string> names_after(TimeNs s, std::vector<uint64_t> frames) {
    now_ = s * 1'000'000'000;
    Collected got;
    symbolizer_.resolve(7, SpaceId{1}, vmas_, stacks_of({std::move(frames)}), got.emit());
    std::vector<std::string> out;
    for (const events::SymbolInfo& each : got.symbols)
      out.push_back(
          fmt::format("{:#x} {}", each.address, each.frames.empty() ? "?" : each.frames.front().function));
    std::ranges::sort(out);
    return out;
  }
  using Names = std::vector<std::string>;

  TimeNs now_ = 0;
  std::vector<events::Vma> vmas_;
  FlakyBinaries binaries_;
  Symbolizer symbolizer_{binaries_, [this] { return now_; }};
};

// Its reader had died of another file, or the disk was slow.
TEST_F(AskedAgain, AFileThatCouldNotBeOpened) {
  binaries_.fail_open = 2;
  EXPECT_EQ(names_after(1, {0x10010, 0x10021}), (Names{"0x10010 ?", "0x10021 ?"}));
  EXPECT_EQ(names_after(1, {0x10030}), Names{"0x10030 ?"});
  EXPECT_EQ(binaries_.opens, 1);
  EXPECT_EQ(names_after(2, {0x10010}), Names{});  // in vain
  EXPECT_EQ(names_after(5, {0x10010}), Names{});  // not yet
  EXPECT_EQ(binaries_.opens, 2);
  EXPECT_EQ(names_after(6, {0x10030}),
            (Names{"0x10010 function 1", "0x10021 function 2", "0x10030 function 3"}));
  EXPECT_EQ(names_after(7, {0x10030}), Names{});
}

TEST_F(AskedAgain, NoMoreThanAFewTimes) {
  binaries_.fail_open = 1000;
  for (TimeNs s = 0; s < 1000; ++s) names_after(s, {0x10010});
  EXPECT_EQ(binaries_.opens, 4);
}

TEST_F(AskedAgain, AQuestionThatFailed) {
  binaries_.fail_look_up = 1;
  EXPECT_EQ(names_after(1, {0x10010}), Names{"0x10010 ?"});
  EXPECT_EQ(names_after(2, {0x10010}), Names{"0x10010 function 1"});
  EXPECT_EQ(names_after(3, {0x10010}), Names{});
  binaries_.fail_look_up = 1000;
  for (int i = 0; i < 100; ++i) names_after(4, {0x10020});
  EXPECT_EQ(binaries_.look_ups, 2 + 3);
}

// proc/7 with whatever a test puts there.
class MadeUpProc : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::scratch_directory("proc");
    fs::remove_all(folder_);
    fs::create_directories(folder_ / "7/map_files");
    fs::create_directories(folder_ / "7/root/usr/lib");
    vma_.range = {0x1000, 0x2000};
    vma_.exec = true;
    vma_.name = "/usr/lib/lib.so";
  }
  Fd proc() const { return Fd(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)); }
  void write(const fs::path& path, const std::string& text) { std::ofstream(folder_ / path) << text; }
  void expect(const fs::path& path) {
    struct stat st {};
    ASSERT_EQ(::stat((folder_ / path).c_str(), &st), 0);
    vma_.device = st.st_dev;
    vma_.inode = st.st_ino;
  }
  uint64_t bytes_of(const Result<TargetFile>& file) const { return file ? file->key.bytes : 0; }

  fs::path folder_;
  events::Vma vma_;
};

TEST_F(MadeUpProc, TheMappingsOwnFileComesFirst) {
  write("mapped", "1");
  write("7/root/usr/lib/lib.so", "22");
  fs::create_symlink(folder_ / "mapped", folder_ / "7/map_files/1000-2000");
  expect("mapped");
  const TargetFiles files(proc());
  EXPECT_EQ(bytes_of(files.open_mapping(7, vma_)), 1u);
}

TEST_F(MadeUpProc, ThePathIsSoughtBelowTheRootOfTheProcess) {
  write("7/root/usr/lib/lib.so.1", "22");
  fs::create_symlink("/usr/lib/lib.so.1", folder_ / "7/root/usr/lib/lib.so");
  expect("7/root/usr/lib/lib.so.1");
  const TargetFiles files(proc());
  EXPECT_EQ(bytes_of(files.open_mapping(7, vma_)), 2u) << "an absolute link stays inside";
  vma_.name = "/../../usr/lib/lib.so";
  EXPECT_EQ(bytes_of(files.open_mapping(7, vma_)), 2u) << "and so do parents";
}

TEST_F(MadeUpProc, AnotherFileUnderTheSameNameIsRefused) {
  write("7/root/usr/lib/lib.so", "333");
  expect("7/root/usr/lib/lib.so");
  vma_.inode += 1;
  const TargetFiles files(proc());
  EXPECT_FALSE(files.open_mapping(7, vma_));
}

TEST_F(MadeUpProc, APipeIsNotOpened) {
  ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  fs::create_symlink(folder_ / "pipe", folder_ / "7/map_files/1000-2000");
  fs::create_symlink(folder_ / "pipe", folder_ / "7/exe");
  expect("pipe");
  const TargetFiles files(proc());
  const auto mapped = files.open_mapping(7, vma_);
  ASSERT_FALSE(mapped);
  EXPECT_EQ(mapped.error().message(), "/usr/lib/lib.so is not a regular file");
  EXPECT_FALSE(files.open_executable(7));
}

// A FIFO wakes its writer, a watchdog starts, a tape rewinds: what is not a regular file must not be opened at all, by no
// way that leads to it.
TEST_F(MadeUpProc, WhatIsNoRegularFileIsNotOpenedForReading) {
  const fs::path pipe = folder_ / "7/root/usr/lib/lib.so";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  fs::create_symlink(pipe, folder_ / "7/map_files/1000-2000");
  fs::create_symlink(pipe, folder_ / "7/exe");
  expect("7/root/usr/lib/lib.so");
  const Fd watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  ASSERT_GE(::inotify_add_watch(watch.get(), pipe.c_str(), IN_OPEN | IN_CLOSE), 0);
  const TargetFiles files(proc());
  EXPECT_FALSE(files.open_mapping(7, vma_));
  EXPECT_FALSE(files.open_executable(7));
  EXPECT_FALSE(files.file_to_probe({7}));
  EXPECT_FALSE(files.file_system(7, vma_));
  char event[4096];
  EXPECT_EQ(::read(watch.get(), event, sizeof event), -1) << "somebody opened it";
  EXPECT_EQ(errno, EAGAIN);
}

TEST_F(MadeUpProc, WhoCannotBeReadIsToldWhy) {
  const auto problem_of = [&](const std::string& bytes, BinaryLimits limits) {
    fs::remove(folder_ / "7/exe");
    write("program", bytes);
    fs::create_symlink(folder_ / "program", folder_ / "7/exe");
    Collected got;
    LocalBinaries binaries(proc(), limits);
    Symbolizer symbolizer(binaries);
    EXPECT_EQ(symbolizer.executable(7, got.emit()).binary, BinaryId::kNone);
    EXPECT_EQ(got.binaries.size(), 1u);
    if (got.binaries.size() != 1) return std::string();
    EXPECT_TRUE(got.binaries[0].unreadable);
    EXPECT_EQ(got.binaries[0].path, (folder_ / "program").string());
    EXPECT_EQ(symbolizer.executable(7, got.emit()).binary, BinaryId::kNone);
    EXPECT_EQ(got.binaries.size(), 1u) << "said once";
    return got.binaries[0].problem;
  };
  std::string header(
      "\x7f"
      "ELF\x01\x01\x01",
      7);
  header.resize(64);
  header[18] = 3;
  EXPECT_EQ(problem_of(header, {}), "an ELF file for i386, not for x86-64");
  EXPECT_EQ(problem_of("#!/bin/sh\n", {}), "not an ELF file");
  BinaryLimits small;
  small.file_bytes = 1 << 20;
  EXPECT_EQ(problem_of(std::string(3 << 20, 'x'), small), "file of 3 MiB, limit 1 MiB");

  write("program", header);
  LocalBinaries binaries(proc());
  Symbolizer symbolizer(binaries);
  Collected got;
  EXPECT_EQ(symbolizer.executable(7, got.emit()).machine, "i386");
}

TEST_F(MadeUpProc, NoExecutableOrNoProcess) {
  Collected got;
  LocalBinaries binaries(proc());
  Symbolizer symbolizer(binaries);
  EXPECT_EQ(symbolizer.executable(8, got.emit()).binary, BinaryId::kNone);
  EXPECT_TRUE(got.binaries.empty()) << "a process that is gone is no fact about a file";
  EXPECT_EQ(symbolizer.executable(7, got.emit()).binary, BinaryId::kNone);
  ASSERT_EQ(got.binaries.size(), 1u);
  EXPECT_EQ(got.binaries[0].problem, "pid 7 has no executable (a kernel thread?)");
}

}  // namespace
}  // namespace memwhy::symbols
