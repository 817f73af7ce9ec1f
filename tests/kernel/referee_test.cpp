// SPDX-License-Identifier: Apache-2.0
// Stacks of real programs against a referee: the process is stopped in the faulting instruction (stop_at_fault.bpf.c), and what
// the hooks found at that fault is compared with what libdw's unwinder finds in the stopped process, frame by frame.
//
//   fault 7f12'3000, ip 7f12'3461     ours   3461 1234 1300 1085           referee  3461 1234 1300 1085     equal
//   fault 7f12'5000                   ours   9a10 (made code) 18cfd1c …    referee  9a10                    equal as far as it goes
//
// What it is not: a proof for frames behind code that has no tables (JIT, from C back to Go): the referee ends there, and how many
// frames were compared is printed. What a stack claims to be certain of is compared, and nothing else.
#include <bpf/libbpf.h>
#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/time.h"
#include "probe/mapping.h"
#include "procfs/process.h"
#include "school.h"
#include "stop_at_fault.h"

namespace memwhy::kernel_test {
namespace {

using events::Unwind;

constexpr size_t kSamples = 30;
constexpr TimeNs kPatience = 120'000'000'000;  // until the program has ended, or all samples are taken

struct Program {
  const char* name;
  std::vector<std::string> command;
  uint32_t every;          // faults to one that is looked at
  std::string built = {};  // by this, first
};

// The hook that stops.
class Stopper {
 public:
  Stopper() : object_(bpf_object__open_file(MEMWHY_STOP_AT_FAULT, nullptr)) {
    if (object_ == nullptr || bpf_object__load(object_) != 0) return;
    link_ = bpf_program__attach(bpf_object__find_program_by_name(object_, "stop_at_fault"));
    const bpf_map* bss = bpf_object__find_map_by_name(object_, ".bss");
    auto mapping = probe::Mapping::of_map(bpf_map__fd(bss), kPage);
    if (mapping) shared_ = std::move(*mapping);
  }
  ~Stopper() {
    bpf_link__destroy(link_);
    bpf_object__close(object_);
  }
  Stopper(const Stopper&) = delete;
  Stopper& operator=(const Stopper&) = delete;

  bool works() const { return link_ != nullptr && shared_.as<stop_at_fault>() != nullptr; }
  volatile stop_at_fault& shared() const { return *shared_.as<stop_at_fault>(); }

 private:
  bpf_object* object_;
  bpf_link* link_ = nullptr;
  probe::Mapping shared_;
};

// A program that waits to be traced before it begins.
class Command {
 public:
  explicit Command(const std::vector<std::string>& words) {
    if (::pipe2(go_, O_CLOEXEC) != 0) std::abort();
    pid_ = ::fork();
    if (pid_ == 0) {
      char byte = 0;
      const int null = ::open("/dev/null", O_RDWR);
      for (const int fd : {0, 1, 2}) ::dup2(null, fd);
      if (::read(go_[0], &byte, 1) != 1) ::_exit(126);
      std::vector<char*> arguments;
      for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
      arguments.push_back(nullptr);
      ::execvp(arguments[0], arguments.data());
      ::_exit(127);
    }
  }
  ~Command() {
    if (!ended_) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    for (const int fd : go_) ::close(fd);
  }
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;

  pid_t pid() const { return pid_; }
  void go() const { ASSERT_EQ(::write(go_[1], "g", 1), 1); }
  bool is_stopped() {
    int status = 0;
    if (ended_ || ::waitpid(pid_, &status, WUNTRACED | WNOHANG) != pid_) return false;
    if (WIFSTOPPED(status)) return true;
    ended_ = true;
    status_ = status;
    return false;
  }
  bool ended() const { return ended_; }
  int status() const { return status_; }

 private:
  pid_t pid_ = -1;
  int go_[2] = {-1, -1};
  bool ended_ = false;
  int status_ = 0;
};

// libdw's frames of a thread of a stopped process.
std::vector<uint64_t> referee(pid_t pid, pid_t tid) {
  static const Dwfl_Callbacks calls{.find_elf = dwfl_linux_proc_find_elf,
                                    .find_debuginfo = [](auto...) { return -1; },
                                    .section_address = nullptr,
                                    .debuginfo_path = nullptr};
  std::vector<uint64_t> frames;
  Dwfl* dwfl = dwfl_begin(&calls);
  if (dwfl != nullptr && dwfl_linux_proc_report(dwfl, pid) == 0 &&
      dwfl_report_end(dwfl, nullptr, nullptr) == 0 && dwfl_linux_proc_attach(dwfl, pid, false) == 0)
    static_cast<void>(dwfl_getthread_frames(
        dwfl, tid,
        [](Dwfl_Frame* frame, void* out) -> int {
          auto& all = *static_cast<std::vector<uint64_t>*>(out);
          Dwarf_Addr pc = 0;
          if (!dwfl_frame_pc(frame, &pc, nullptr) || all.size() == 256) return DWARF_CB_ABORT;
          all.push_back(pc);
          return DWARF_CB_OK;
        },
        &frames));
  dwfl_end(dwfl);
  return frames;
}

// Up to the first that is no address of code: there it had lost its way.
void keep_code(std::vector<uint64_t>& frames, const std::vector<events::Vma>& mappings) {
  const auto is_code = [&](uint64_t address) {
    return std::ranges::any_of(
        mappings, [&](const events::Vma& vma) { return vma.exec && vma.range.contains(address - 1); });
  };
  frames.erase(std::find_if_not(frames.begin(), frames.end(), is_code), frames.end());
}

struct Tally {
  size_t samples = 0, equal = 0, longer = 0, shorter = 0, wrong = 0, astray = 0;
  size_t frames = 0, compared = 0, claimed = 0;
};

bool is_whole(const events::Stack& stack) {
  return stack.unwind == Unwind::kWhole || stack.unwind == Unwind::kRecovered;
}

std::string hex(const std::vector<uint64_t>& frames) {
  std::string text;
  for (const uint64_t frame : frames) {
    char one[24];
    std::snprintf(one, sizeof one, " %lx", static_cast<unsigned long>(frame));
    text += one;
  }
  return text;
}

// What ours is certain of. Beyond that it claims nothing, and the report shows "…".
void compare(const events::Stack& ours, const std::vector<uint64_t>& theirs, Tally& tally) {
  const size_t certain = is_whole(ours) || ours.certain == 0
                             ? ours.frames.size()
                             : std::min<size_t>(ours.certain, ours.frames.size());
  const size_t both = std::min(certain, theirs.size());
  tally.frames += ours.frames.size();
  tally.claimed += certain;
  tally.compared += both;
  if (!std::equal(ours.frames.begin(), ours.frames.begin() + static_cast<ptrdiff_t>(both), theirs.begin())) {
    ++tally.wrong;
    ADD_FAILURE() << "found in way " << static_cast<int>(ours.unwind) << ", " << certain
                  << " certain:" << hex(ours.frames) << "\n referee:" << hex(theirs);
  } else if (is_whole(ours) && ours.frames.size() < theirs.size() && !ours.cut) {
    ++tally.shorter;
    std::printf("ours ends: %s\n referee: %s\n", hex(ours.frames).c_str(), hex(theirs).c_str());
  } else if (is_whole(ours) && ours.frames.size() > theirs.size()) {
    ++tally.longer;
  } else if (is_whole(ours)) {
    ++tally.equal;
  } else {
    const uint64_t last = certain > 0 ? ours.frames[certain - 1] : 0;
    std::printf("not whole: found in way %d, %zu of %zu frames certain, the last of them %lx\n",
                static_cast<int>(ours.unwind), certain, ours.frames.size(), static_cast<unsigned long>(last));
  }
}

class Referee : public ::testing::TestWithParam<Program> {};

std::vector<Program> programs() {
  const std::string data = MEMWHY_TEST_DATA, workloads = MEMWHY_WORKLOADS;
  return {
      {"c", {workloads + "/stack_zoo"}, 301},
      {"cpp", {workloads + "/stack_cpp"}, 97},
      {"python", {"python3", data + "/bench/workloads/json_objects.py"}, 151},
      {"node", {"node", data + "/bench/workloads/objects.js"}, 307},
      {"jvm", {"java", "-Xmx256m", data + "/workloads/Keep.java"}, 607},
      {"rust",
       {workloads + "/stack_rust"},
       301,
       "rustc -O -o " + workloads + "/stack_rust " + data + "/workloads/stack_rust.rs"},
      {"go_with_cgo",
       {workloads + "/referee_cgo"},
       97,
       "cd " + data + "/workloads/stack_cgo && CGO_ENABLED=1 go build -o " + workloads + "/referee_cgo ."},
      {"go_race",
       {workloads + "/referee_race"},
       601,
       "go build -race -o " + workloads + "/referee_race " + data + "/bench/workloads/go_gc/main.go"}};
}

std::string found(const std::string& program) {
  if (program.find('/') != std::string::npos) return std::filesystem::exists(program) ? program : "";
  std::istringstream path(std::getenv("PATH"));
  for (std::string folder; std::getline(path, folder, ':');)
    if (::access((folder + "/" + program).c_str(), X_OK) == 0) return folder + "/" + program;
  return "";
}

// One fault: what the hooks found at it, and what the referee finds.
void judge(School& school, Observer& seen, const Command& command, const volatile stop_at_fault& stop,
           Tally& tally) {
  school.learn();
  seen.drain();
  const auto starts = seen.all<events::SpaceStart>();
  if (starts.empty()) return;  // not the program yet
  const SpaceId space = starts.back().space;
  seen.read(space);
  const auto ours = seen.stacks().find(seen.entry(space, stop.address).stack);
  auto root = procfs::Root::open("/proc");
  ASSERT_TRUE(root);
  auto process = procfs::Process::open(*root, command.pid());
  ASSERT_TRUE(process);
  const auto mappings = process->vmas();
  std::vector<uint64_t> theirs = referee(command.pid(), static_cast<pid_t>(stop.tid));
  if (mappings) keep_code(theirs, *mappings);
  // Another thread may have brought in the page in the meantime; or the referee cannot begin, in made code.
  if (ours == seen.stacks().end() || theirs.empty() || ours->second.frames.empty() ||
      ours->second.frames[0] != stop.ip || theirs[0] != stop.ip) {
    ++tally.astray;
    return;
  }
  ++tally.samples;
  compare(ours->second, theirs, tally);
}

TEST_P(Referee, FindsTheSameFrames) {
  Program program = GetParam();
  if (!program.built.empty() && std::system(program.built.c_str()) != 0)
    GTEST_SKIP() << "cannot be built: " << program.built;
  program.command[0] = found(program.command[0]);
  if (program.command[0].empty()) CANNOT_RUN("no " << GetParam().command[0]);
  OPEN_SCHOOL(school, {});
  const Stopper stopper;
  if (!stopper.works()) CANNOT_RUN("the program that stops cannot be attached");
  Command command(program.command);
  TRACE(forked, *school.port, command.pid(), false);
  Observer seen(*school.port);
  stopper.shared().every = program.every;
  stopper.shared().tgid = static_cast<uint32_t>(command.pid());
  command.go();
  Tally tally;
  const TimeNs end = clock_ns(CLOCK_MONOTONIC) + kPatience;
  while (!command.ended() && tally.samples < kSamples && clock_ns(CLOCK_MONOTONIC) < end) {
    // In turn: learned from at once, or from one stop to the next, with all of those that are thought to be alike.
    if (tally.samples % 2 == 0) school.teacher->look();
    if (!command.is_stopped()) continue;
    if (stopper.shared().stopped != 0) judge(school, seen, command, stopper.shared(), tally);
    stopper.shared().stopped = 0;
    ::kill(command.pid(), SIGCONT);
  }
  std::printf(
      "%s: %zu samples: %zu whole and equal, %zu whole and longer than the referee's, %zu shorter, %zu "
      "wrong; %zu of %zu "
      "frames compared, %zu claimed; %zu samples not to be compared\n",
      program.name, tally.samples, tally.equal, tally.longer, tally.shorter, tally.wrong, tally.compared,
      tally.frames, tally.claimed, tally.astray);
  EXPECT_EQ(tally.wrong, 0u);
  EXPECT_GE(tally.samples, 10u);
  EXPECT_GT(tally.compared, tally.samples);
}

INSTANTIATE_TEST_SUITE_P(Programs, Referee, ::testing::ValuesIn(programs()),
                         [](const auto& one) { return std::string(one.param.name); });

}  // namespace
}  // namespace memwhy::kernel_test
