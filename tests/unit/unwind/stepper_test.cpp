// SPDX-License-Identifier: Apache-2.0
// The learner beside libdw, on processes that are stopped: after each instruction of a program that has every kind of frame,
// and at random moments of larger ones.
#include "unit/unwind/stepper.h"

#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>

#include "symbols/local_binaries.h"
#include "unit/symbols/target.h"

namespace memwhy::unwind::testing {
namespace {

using symbols::testing::Target;

int frame_of(Dwfl_Frame* frame, void* out) {
  auto& frames = *static_cast<std::vector<uint64_t>*>(out);
  Dwarf_Addr pc = 0;
  bool is_activation = false;
  if (!::dwfl_frame_pc(frame, &pc, &is_activation)) return DWARF_CB_ABORT;
  frames.push_back(pc);
  return frames.size() < Learner::kMostFrames ? DWARF_CB_OK : DWARF_CB_ABORT;
}

char* no_debug_path = nullptr;
int no_debug_file(Dwfl_Module*, void**, const char*, Dwarf_Addr, const char*, const char*, GElf_Word,
                  char**) {
  return -1;
}
const Dwfl_Callbacks kCallbacks = {::dwfl_linux_proc_find_elf, no_debug_file, nullptr, &no_debug_path};

}  // namespace

Stepper::Stepper(const std::vector<std::string>& command) {
  pid_ = ::fork();
  if (pid_ == 0) {
    ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    std::vector<char*> words;
    for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    ::execv(words[0], words.data());
    ::_exit(127);
  }
  int signal = 0;
  if (!wait(&signal)) return;  // the exec
  ::ptrace(PTRACE_SETOPTIONS, pid_, nullptr, PTRACE_O_EXITKILL);
  for (signal = 0; signal != SIGTRAP;)
    if (::ptrace(PTRACE_CONT, pid_, nullptr, signal) != 0 || !wait(&signal)) return;
  signal_ = 0;
  attach_referee();
}

bool Stepper::attach_referee() {
  if (dwfl_ != nullptr) ::dwfl_end(dwfl_);
  mappings_ = Target::read_vmas(pid_);
  dwfl_ = ::dwfl_begin(&kCallbacks);
  if (::dwfl_linux_proc_report(dwfl_, pid_) != 0 || ::dwfl_report_end(dwfl_, nullptr, nullptr) != 0)
    return false;
  return ::dwfl_linux_proc_attach(dwfl_, pid_, true) == 0;
}

Stepper::~Stepper() {
  if (dwfl_ != nullptr) ::dwfl_end(dwfl_);
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
}

bool Stepper::wait(int* signal) {
  int status = 0;
  if (::waitpid(pid_, &status, 0) != pid_ || !WIFSTOPPED(status)) {
    pid_ = -1;
    return false;
  }
  *signal = WSTOPSIG(status);
  return true;
}

bool Stepper::step() {
  int signal = 0;
  if (::ptrace(PTRACE_SINGLESTEP, pid_, nullptr, signal_) != 0 || !wait(&signal)) return false;
  signal_ = signal == SIGTRAP ? 0 : signal;
  return true;
}

bool Stepper::run_for(unsigned microseconds) {
  if (::ptrace(PTRACE_CONT, pid_, nullptr, signal_) != 0) return false;
  ::usleep(microseconds);         // the moment does not matter
  ::tgkill(pid_, pid_, SIGSTOP);  // the traced thread alone: the others go on
  int signal = 0;
  while (wait(&signal)) {
    if (signal == SIGSTOP) {
      signal_ = 0;
      return attach_referee();
    }
    if (::ptrace(PTRACE_CONT, pid_, nullptr, signal) != 0) return false;
  }
  return false;
}

Snapshot Stepper::snapshot(size_t bytes) {
  user_regs_struct registers{};
  ::ptrace(PTRACE_GETREGS, pid_, nullptr, &registers);
  const uint64_t from = registers.rsp & ~uint64_t{7};
  const auto in = std::find_if(mappings_.begin(), mappings_.end(),
                               [&](const events::Vma& vma) { return vma.range.contains(from); });
  stack_.assign(in == mappings_.end() ? 0 : std::min<uint64_t>(bytes, in->range.end - from), std::byte{});
  const iovec local{stack_.data(), stack_.size()},
      remote{reinterpret_cast<void*>(from), stack_.size()};  // NOLINT
  const ssize_t got = stack_.empty() ? 0 : ::process_vm_readv(pid_, &local, 1, &remote, 1, 0);
  stack_.resize(got < 0 ? 0 : static_cast<size_t>(got));
  return {registers.rip, registers.rsp, registers.rbp, false, from, stack_};
}

std::vector<uint64_t> Stepper::referee() {
  std::vector<uint64_t> frames;
  ::dwfl_getthread_frames(dwfl_, pid_, frame_of, &frames);
  return frames;
}

namespace {

struct Shares {
  size_t all = 0, whole = 0, frames = 0, wrong = 0;
  size_t on_alternate_stack = 0;  // of a signal handler: the copy does not have the other one
};

std::string hex(const std::vector<uint64_t>& frames, size_t from) {
  std::string text;
  char word[32];
  for (size_t i = from; i < std::min(frames.size(), from + 4); ++i) {
    std::snprintf(word, sizeof word, " %lx", frames[i]);
    text += word;
  }
  return text;
}

// What is whole is what the referee says; the rest as far as it goes, its last frame apart.
void compare(Stepper& program, Learner& learner, size_t stack_bytes, Shares& shares) {
  const Learned learned = learner.learn(program.pid(), program.snapshot(stack_bytes),
                                        std::make_shared<const std::vector<events::Vma>>(program.mappings()));
  const std::vector<uint64_t> theirs = program.referee();
  ++shares.all;
  const bool whole = learned.how == How::kWhole;
  shares.whole += whole ? 1 : 0;
  const bool in_handler = std::ranges::any_of(learned.rules, [](const LearnedRule& one) {
    return one.rule.kind == symbols::UnwindRule::Kind::kSignal;
  });
  shares.on_alternate_stack += !whole && in_handler ? 1 : 0;
  size_t same = 0;
  while (same < std::min(learned.frames.size(), theirs.size()) && learned.frames[same] == theirs[same])
    ++same;
  shares.frames += same;
  // Where a coroutine begins libdw has one more frame: what the return address of its first function is.
  const bool at_end = whole && learned.rules.back().rule.kind == symbols::UnwindRule::Kind::kEnd;
  // The first instructions of a function that realigns its stack are beyond any rule.
  const bool stopped =
      learned.rules.empty() || learned.rules.back().rule.kind == symbols::UnwindRule::Kind::kStop;
  const bool rest = same + 1 >= learned.frames.size() && (learned.frames.size() > 1 || stopped);
  const bool right = same == theirs.size() || (whole ? at_end : rest);
  const bool all_of_ours = !whole || same == learned.frames.size();
  if (right && all_of_ours) return;
  ++shares.wrong;
  EXPECT_GT(shares.wrong, 3u) << "at " << std::hex << learned.frames.front() << std::dec << " how "
                              << static_cast<int>(learned.how) << ", " << learned.frames.size()
                              << " frames, not " << theirs.size() << ", the same up to " << same
                              << "; ours:" << hex(learned.frames, same == 0 ? 0 : same - 1)
                              << "; theirs:" << hex(theirs, same == 0 ? 0 : same - 1);
}

std::string built(const std::string& flags) {
  const std::string folder = symbols::testing::scratch_directory("zoo");
  const std::string command = "cd '" + folder + "' && gcc -O2 -g0 -fomit-frame-pointer " + flags +
                              " -o zoo '" MEMWHY_TEST_DATA "/data/unwind/zoo.c'";
  const auto done = symbols::testing::run(command);
  EXPECT_EQ(done.status, 0) << done.output;
  return folder + "/zoo";
}

struct Build {
  const char* flags;
  bool lazy;  // the linker's trampoline saves its stack pointer in a register that no rule knows
};

class Zoo : public ::testing::TestWithParam<Build> {};
INSTANTIATE_TEST_SUITE_P(Built, Zoo,
                         ::testing::Values(Build{"", false}, Build{"-static-pie", false},
                                           Build{"-fcf-protection=none -Wl,-z,lazy", true},
                                           Build{"-O0", false}, Build{"-Os -s", false}));

TEST_P(Zoo, EachInstructionIsUnwoundAsLibdwDoes) {
  const std::string path = built(GetParam().flags);
  if (!GetParam().lazy) ::setenv("LD_BIND_NOW", "1", 1);
  Stepper program({path});
  ::unsetenv("LD_BIND_NOW");
  ASSERT_TRUE(program.ready());
  symbols::LocalBinaries binaries(symbols::testing::open_proc());
  Learner learner(binaries);
  Shares shares;
  size_t steps = 0;
  do {
    if (steps++ % 3 == 0) compare(program, learner, 16 << 10, shares);
  } while (program.step());
  EXPECT_GT(steps, 4000u);
  EXPECT_EQ(shares.wrong, 0u);
  // The rest: the compiler's start and end code has no table, longjmp and swapcontext are between two stacks.
  EXPECT_GE((shares.whole + shares.on_alternate_stack) * 1000, shares.all * (GetParam().lazy ? 550 : 980));
  RecordProperty("steps", static_cast<int>(steps));
  RecordProperty("compared", static_cast<int>(shares.all));
  RecordProperty("whole", static_cast<int>(shares.whole));
  RecordProperty("alternate", static_cast<int>(shares.on_alternate_stack));
  RecordProperty("frames", static_cast<int>(shares.frames));
}

constexpr const char* kPython = R"(
import json, os, signal, re
os.kill(os.getpid(), signal.SIGTRAP)
def deep(n): return sorted([n, 3, 1], key=lambda x: deep(n - 1) if n > 0 and x == n else x)[0]
while True:
    text = json.dumps([{'a': i, 'b': [str(i)] * 5} for i in range(200)])
    json.loads(text); re.findall(r'(\\d+)x?', text); deep(10)
)";

TEST(Python, IsUnwoundAsLibdwDoesAtRandomMoments) {
  if (!std::filesystem::exists("/usr/bin/python3")) GTEST_SKIP() << "no python3";
  Stepper program({"/usr/bin/python3", "-c", kPython});
  ASSERT_TRUE(program.ready());
  symbols::LocalBinaries binaries(symbols::testing::open_proc());
  Learner learner(binaries);
  Shares shares;
  for (unsigned i = 0; i < 60; ++i) {
    ASSERT_TRUE(program.run_for(500 + 37 * i));
    compare(program, learner, 256 << 10, shares);
  }
  EXPECT_EQ(shares.wrong, 0u);
  EXPECT_GE(shares.whole * 100, shares.all * 95);
  RecordProperty("whole", static_cast<int>(shares.whole));
  RecordProperty("frames", static_cast<int>(shares.frames));
}

// Go has no referee; but all of its functions with a frame keep the chain of frame pointers.
std::vector<uint64_t> chain_of_frame_pointers(const Snapshot& snapshot) {
  std::vector<uint64_t> frames;
  uint64_t fp = snapshot.fp;
  while (frames.size() < Learner::kMostFrames && fp >= snapshot.address && snapshot.stack.size() >= 16 &&
         fp - snapshot.address <= snapshot.stack.size() - 16) {
    uint64_t words[2];
    std::memcpy(words, snapshot.stack.data() + (fp - snapshot.address), sizeof words);
    frames.push_back(words[1]);
    if (words[0] <= fp) break;
    fp = words[0];
  }
  return frames;
}

class GoProgram : public ::testing::TestWithParam<std::pair<const char*, const char*>> {};
INSTANTIATE_TEST_SUITE_P(Built, GoProgram,
                         ::testing::Values(std::pair("debian", ""), std::pair("go1.22.12", "-ldflags=-s"),
                                           std::pair("go1.26.8", ""),
                                           std::pair("go1.27.3", "-ldflags='-s -w'")));

TEST_P(GoProgram, IsWholeAndAgreesWithItsFramePointers) {
  const std::string folder = symbols::testing::scratch_directory("go");
  const std::string go = "'" MEMWHY_TEST_DATA "/workloads/go_release' " + std::string(GetParam().first);
  if (symbols::testing::run(go + " version").status != 0) GTEST_SKIP() << "no " << GetParam().first;
  const auto made =
      symbols::testing::run("cd '" + folder +
                            "' && cp '" MEMWHY_TEST_DATA
                            "/data/unwind/go/main.go' . && printf 'module busy\n\ngo 1.18\n' > go.mod && " +
                            go + " build " + GetParam().second + " -o busy .");
  ASSERT_EQ(made.status, 0) << made.output;
  Stepper program({folder + "/busy"});
  ASSERT_TRUE(program.ready());
  symbols::LocalBinaries binaries(symbols::testing::open_proc());
  Learner learner(binaries);
  size_t whole = 0, compared = 0;
  constexpr unsigned kMoments = 200;
  for (unsigned i = 0; i < kMoments; ++i) {
    ASSERT_TRUE(program.run_for(300 + 17 * i));
    const Snapshot snapshot = program.snapshot(256 << 10);
    const Learned learned = learner.learn(
        program.pid(), snapshot, std::make_shared<const std::vector<events::Vma>>(program.mappings()));
    whole += learned.how == How::kWhole ? 1 : 0;
    const std::vector<uint64_t> chain = chain_of_frame_pointers(snapshot);
    if (learned.how != How::kWhole || chain.empty() || learned.frames.back() != chain.back()) continue;
    const size_t common = std::min(chain.size(), learned.frames.size() - 1);
    compared += common;
    EXPECT_TRUE(std::equal(chain.end() - static_cast<ptrdiff_t>(common), chain.end(),
                           learned.frames.end() - static_cast<ptrdiff_t>(common)))
        << "at " << std::hex << learned.frames.front();
    EXPECT_LE(chain.size() + 1, learned.frames.size() + 1);
  }
  // The rest is on the scheduler's stack: the copy does not have the goroutine's, too.
  EXPECT_GE(whole * 100, kMoments * 75);
  EXPECT_GT(compared, kMoments);
  RecordProperty("whole", static_cast<int>(whole));
  RecordProperty("compared", static_cast<int>(compared));
}

}  // namespace
}  // namespace memwhy::unwind::testing
