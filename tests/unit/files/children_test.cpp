// SPDX-License-Identifier: Apache-2.0
// The pair of children, alive: what it says is what a reader in this process says; one that dies, hangs or lies costs names
// and nothing else. This program is its own child (main below), a real one or one that misbehaves.
#include "files/children.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "files/channel.h"
#include "files/child.h"
#include "symbols/local_binaries.h"
#include "symbols/symbolizer.h"
#include "unit/symbols/target.h"

namespace memwhy::files {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using testing::HasSubstr;

constexpr const char* kMode = "MEMWHY_TEST_CHILD";

// Answers in the way that the mode says, to what is not the greeting of a new pair (process 0, binary 0).
int misbehave(const std::string& role, const std::string& mode) {
  while (true) {
    const Result<Message> message = receive_message(kRequests, kMostMessageBytes, kNoDeadline);
    if (!message) return 0;
    const std::optional<Request> request = decode<Request>(message->body);
    const bool opener = role == kOpenerWord;
    if (request && request->tgid == 0 && request->ask != Ask::kTake) {
      const Error greeting(opener ? ErrorCode::kTargetGone : ErrorCode::kAbsent, "none");
      static_cast<void>(send_message(kRequests, encode_error(greeting), nullptr, kNoDeadline));
      continue;
    }
    if (mode == "silent") ::pause();
    if (mode == "dies") ::abort();
    if (mode == "strange") {
      const Bytes noise(64, std::byte{0xff});
      static_cast<void>(send_message(kRequests, noise, nullptr, kNoDeadline));
    }
    if (mode == "huge") {
      const uint32_t bytes = 0xffffffff;
      static_cast<void>(!::write(kRequests, &bytes, sizeof bytes));
    }
    if (mode == "lies") {  // an answer of the right shape to another question
      static_cast<void>(send_message(kRequests, encode_answer(encode(uint64_t{1})), nullptr, kNoDeadline));
    }
  }
}

ChildrenOptions quick() {
  ChildrenOptions options;
  options.to_open = options.to_parse = options.to_look_up =
      milliseconds(1000);  // a busy machine starts them in 0.7 s
  return options;
}

class Misbehaving : public testing::TestWithParam<const char*> {
 protected:
  Misbehaving() { ::setenv(kMode, GetParam(), 1); }
  ~Misbehaving() override { ::unsetenv(kMode); }
};
INSTANTIATE_TEST_SUITE_P(Child, Misbehaving, testing::Values("silent", "dies", "strange", "huge", "lies"),
                         [](const auto& mode) { return std::string(mode.param); });

TEST_P(Misbehaving, CostsOneFileAndIsTold) {
  ChildrenOptions options = quick();
  options.to_open = milliseconds(2000);  // the good pair's too, on a busy machine
  Result<std::unique_ptr<Children>> children = Children::start(std::move(options));
  ASSERT_TRUE(children) << children.error().message();
  const Result<symbols::OpenedBinary> opened = (*children)->open_executable(::getpid());
  EXPECT_FALSE(opened && opened->handle != symbols::BinaryHandle::kNone);
  if (!opened) {
    EXPECT_EQ(opened.error().code(), ErrorCode::kBadInput) << opened.error().message();
  }
  EXPECT_TRUE((*children)->has_notices());
  EXPECT_THAT((*children)->take_notices(), Contains(HasSubstr("it was replaced")));
  EXPECT_FALSE((*children)->has_notices());

  ::unsetenv(kMode);  // the next pair is a good one
  const Result<symbols::OpenedBinary> again = (*children)->open_executable(::getpid());
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_NE(again->handle, symbols::BinaryHandle::kNone) << again->problem;
}

TEST(Children, NoMoreTimeForAProcessThatWasteIt) {
  ::setenv(kMode, "silent", 1);
  ChildrenOptions options = quick();
  options.to_open = milliseconds(2000);
  options.lost_per_process = milliseconds(1800);  // 2 s, less the moment that is free, are 1.75: twice
  Result<std::unique_ptr<Children>> children = Children::start(options);
  ASSERT_TRUE(children);
  for (int round = 0; round < 2; ++round) EXPECT_FALSE((*children)->open_executable(::getpid()));
  const uint64_t pairs = (*children)->pairs();
  const Result<symbols::OpenedBinary> third = (*children)->open_executable(::getpid());
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().message(), "reading the files of its process takes too long");
  EXPECT_EQ((*children)->pairs(), pairs) << "nobody was asked";
  ::unsetenv(kMode);
  const Result<symbols::OpenedBinary> parent = (*children)->open_executable(::getppid());
  EXPECT_TRUE(parent) << "another process has its own account";
}

TEST(Children, ADeviceThatDidNotAnswerIsLeftAlone) {
  ::setenv(kMode, "silent", 1);
  Result<std::unique_ptr<Children>> children = Children::start(quick());
  ASSERT_TRUE(children);
  events::Vma vma;
  vma.range = {0x1000, 0x2000};
  vma.device = 77;
  vma.inode = 5;
  vma.name = "/mnt/silent/lib.so";
  EXPECT_FALSE((*children)->open_mapping(::getpid(), vma));
  ::unsetenv(kMode);
  const uint64_t pairs = (*children)->pairs();
  const Result<symbols::OpenedBinary> again = (*children)->open_mapping(::getpid(), vma);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().message(), "its file system does not answer");
  EXPECT_EQ((*children)->pairs(), pairs);
}

TEST(Children, AProgramThatCannotBeStartedIsSaidAtOnce) {
  ChildrenOptions options = quick();
  options.program = "/nonexistent";
  const auto none = Children::start(options);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code(), ErrorCode::kEnvironment);
  options.program = "/bin/true";  // starts, and ends
  const auto ends = Children::start(options);
  ASSERT_FALSE(ends);
  EXPECT_EQ(ends.error().code(), ErrorCode::kEnvironment);
}

// Every file that this process has mapped with code, by both.
TEST(Children, SayWhatAReaderInThisProcessSays) {
  Result<std::unique_ptr<Children>> children = Children::start();
  ASSERT_TRUE(children) << children.error().message();
  symbols::LocalBinaries local(symbols::testing::open_proc());
  size_t files = 0, names = 0;
  for (const events::Vma& vma : symbols::testing::Target::read_vmas(::getpid())) {
    if (!vma.exec || vma.inode == 0) continue;
    const auto mine = local.open_mapping(::getpid(), vma);
    const auto theirs = (*children)->open_mapping(::getpid(), vma);
    ASSERT_EQ(mine.ok(), theirs.ok()) << vma.name;
    if (!mine) continue;
    ++files;
    EXPECT_EQ(theirs->key, mine->key);
    EXPECT_EQ(theirs->path, mine->path);
    EXPECT_EQ(theirs->facts.build_id, mine->facts.build_id);
    std::vector<symbols::CodeOffset> at;
    for (uint64_t offset = vma.offset; offset < vma.offset + vma.range.bytes(); offset += 509)
      at.push_back({offset, offset % 2 == 0});
    const auto expected = local.look_up(mine->handle, at);
    const auto found = (*children)->look_up(theirs->handle, at);
    ASSERT_TRUE(expected && found) << vma.name;
    EXPECT_EQ(*found, *expected) << vma.name;
    for (const auto& frames : *found) names += frames.size();
    const auto bytes = local.read(mine->handle, 100, 5000);
    const auto their_bytes = (*children)->read(theirs->handle, 100, 5000);
    ASSERT_TRUE(bytes && their_bytes);
    EXPECT_EQ(*their_bytes, *bytes);
    at.resize(std::min<size_t>(at.size(), 300));
    const auto rules = local.frame_rules(mine->handle, at),
               their_rules = (*children)->frame_rules(theirs->handle, at);
    ASSERT_TRUE(rules && their_rules) << vma.name;
    EXPECT_EQ(*their_rules, *rules);
  }
  EXPECT_GE(files, 3u);
  EXPECT_GE(names, 1000u);
  const auto path = (*children)->file_to_probe({::getpid()});
  ASSERT_TRUE(path);
  EXPECT_EQ(::fcntl(path->fd.get(), F_GETFL) & O_PATH, O_PATH);
  EXPECT_FALSE(path->remote);
}

// Its code is in every process, and has rules and names as a file has.
TEST(Children, ReadTheVdso) {
  Result<std::unique_ptr<Children>> children = Children::start();
  ASSERT_TRUE(children);
  const auto opened = (*children)->vdso();
  ASSERT_TRUE(opened) << opened.error().message();
  ASSERT_NE(opened->handle, symbols::BinaryHandle::kNone);
  EXPECT_EQ((*children)->vdso()->handle, opened->handle);
  size_t rules = 0, names = 0;
  for (uint64_t offset = 0x400; offset < opened->key.bytes; offset += 16) {
    const symbols::CodeOffset at{offset, false};
    const auto found = (*children)->frame_rules(opened->handle, std::span(&at, 1));
    ASSERT_TRUE(found) << found.error().message();
    rules += found->front().why == symbols::FunctionRules::Why::kRule ? 1 : 0;
    names += (*children)->look_up(opened->handle, std::span(&at, 1))->front().size();
  }
  EXPECT_GT(rules, 20u);
  EXPECT_GT(names, 20u);
  // An offset that no file has is no reason to mistrust the child.
  const symbols::CodeOffset nowhere{~uint64_t{0}, false};
  const auto refused = (*children)->frame_rules(opened->handle, std::span(&nowhere, 1));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kBadInput);
  ASSERT_GT((*children)->parser(), 0);  // -1 would be everybody
  ::kill((*children)->parser(), SIGKILL);
  const symbols::CodeOffset at{0x600, false};
  const auto closed = (*children)->frame_rules(opened->handle, std::span(&at, 1));
  ASSERT_FALSE(closed);
  EXPECT_EQ(closed.error().code(), ErrorCode::kAbsent);
  EXPECT_TRUE((*children)->vdso()) << "by the next pair";
}

// The recorder itself never holds a file of a target: to close one may take for ever.
TEST(Children, LeaveNoDescriptorOfTheFileHere) {
  Result<std::unique_ptr<Children>> children = Children::start();
  ASSERT_TRUE(children);
  ASSERT_TRUE((*children)->open_executable(::getpid()));
  const std::string program = fs::read_symlink("/proc/self/exe");
  for (const fs::directory_entry& fd : fs::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    EXPECT_NE(fs::read_symlink(fd.path(), gone).string(), program) << fd.path();
  }
}

// Two hundred files, mapped here; one of the children is killed at any moment. Nothing but names may be lost, and what was
// lost is told.
TEST(Children, KilledAtRandomLoseOnlyNames) {
  const std::string folder = symbols::testing::scratch_directory("copies");
  std::string source;
  for (const events::Vma& vma : symbols::testing::Target::read_vmas(::getpid()))
    if (vma.name.find("libgcc_s") != std::string::npos || vma.name.find("libz.") != std::string::npos)
      source = vma.name;
  ASSERT_FALSE(source.empty());
  std::vector<events::Vma> mapped;
  for (int i = 0; i < 200; ++i) {
    const std::string copy = folder + "/lib" + std::to_string(i) + ".so";
    fs::copy_file(source, copy, fs::copy_options::overwrite_existing);
    const Fd file(::open(copy.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat st {};
    ASSERT_EQ(::fstat(file.get(), &st), 0);
    const auto bytes = (static_cast<size_t>(st.st_size) + 4095) & ~size_t{4095};
    ASSERT_NE(::mmap(nullptr, bytes, PROT_READ | PROT_EXEC, MAP_PRIVATE, file.get(), 0), MAP_FAILED);
  }
  for (const events::Vma& vma : symbols::testing::Target::read_vmas(::getpid()))
    if (vma.name.starts_with(folder)) mapped.push_back(vma);
  ASSERT_EQ(mapped.size(), 200u);

  Result<std::unique_ptr<Children>> children = Children::start();
  ASSERT_TRUE(children);
  symbols::Symbolizer symbolizer(**children);
  std::mt19937 random(11);
  size_t binaries = 0, symbols = 0, named = 0, unreadable = 0;
  int kills = 0;
  for (const events::Vma& vma : mapped) {
    if (random() % 3 == 0) {
      const pid_t victim = random() % 2 == 0 ? (*children)->opener() : (*children)->parser();
      ASSERT_GT(victim, 0);  // -1 would be everybody
      ++kills;
      ::kill(victim, SIGKILL);
    }
    events::Stack stack;
    for (uint64_t address = vma.range.start + 0x1000; address < vma.range.end; address += 1021)
      stack.frames.push_back(address);
    symbolizer.resolve(::getpid(), SpaceId{1}, mapped, std::span(&stack, 1), [&](const events::Event& event) {
      if (const auto* binary = std::get_if<events::BinaryInfo>(&event.payload)) {
        ++binaries;
        unreadable += binary->unreadable ? 1 : 0;
      }
      if (const auto* symbol = std::get_if<events::SymbolInfo>(&event.payload)) {
        ++symbols;
        named += symbol->frames.empty() ? 0 : 1;
      }
    });
  }
  EXPECT_GT(kills, 20);
  EXPECT_EQ(binaries, 200u) << "each is told";
  EXPECT_GT(symbols, 200u * 5);
  EXPECT_GT(named, 200u);
  EXPECT_LE(unreadable, 2u) << "one death over a file is forgiven";
  EXPECT_THAT((*children)->take_notices(), Contains(HasSubstr("died; it was replaced")));
}

// Who parses has nothing of ours open, whatever we have.
TEST(Children, InheritNothing) {
  const Fd secret(::open("/etc/hostname", O_RDONLY));  // not close-on-exec
  Result<std::unique_ptr<Children>> children = Children::start();
  ASSERT_TRUE(children);
  for (const pid_t pid : {(*children)->opener(), (*children)->parser()}) {
    size_t count = 0;
    for (const fs::directory_entry& fd : fs::directory_iterator("/proc/" + std::to_string(pid) + "/fd")) {
      std::error_code gone;
      const std::string what = fs::read_symlink(fd.path(), gone).string();
      EXPECT_TRUE(what == "/dev/null" || what.starts_with("socket:") || what == "/proc") << what;
      ++count;
    }
    EXPECT_GE(count, 5u);
    EXPECT_LE(count, 6u);
  }
}

}  // namespace
}  // namespace memwhy::files

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (memwhy::files::is_child(words)) {
    if (const char* mode = std::getenv(memwhy::files::kMode)) return memwhy::files::misbehave(words[0], mode);
    return memwhy::files::run_child(words);
  }
  testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}
