// SPDX-License-Identifier: Apache-2.0
// Probes on the Go runtime, attached and detached again and again on a program whose stacks grow while it collects,
// panics and gives memory back (tests/workloads/go_probed, "churn"). It checks every value it computes and dies of a wrong
// one; here every byte of its code is checked after each cycle. One row for every hundred cycles.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "goruntime/probe_sites.h"
#include "probe/kernel_probe.h"
#include "remote/memory.h"
#include "symbols/binary.h"

namespace {

using namespace memwhy;

uint64_t now_ns() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
}

// The program, spoken to by lines.
class Target {
 public:
  explicit Target(const std::string& path) {
    int to[2], from[2];
    if (::pipe2(to, O_CLOEXEC) != 0 || ::pipe2(from, O_CLOEXEC) != 0) std::abort();
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::dup2(to[0], 0);
      ::dup2(from[1], 1);
      ::execl(path.c_str(), path.c_str(), nullptr);
      ::_exit(127);
    }
    ::close(to[0]);
    ::close(from[1]);
    commands_ = ::fdopen(to[1], "w");
    answers_ = ::fdopen(from[0], "r");
  }
  ~Target() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    std::fclose(commands_);
    std::fclose(answers_);
  }
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;

  pid_t pid() const { return pid_; }
  bool alive() const { return ::waitpid(pid_, nullptr, WNOHANG | WNOWAIT) == 0; }
  void tell(const std::string& line) {
    std::fputs((line + "\n").c_str(), commands_);
    std::fflush(commands_);
  }
  std::string line() {
    char text[256] = {};
    return std::fgets(text, sizeof text, answers_)
               ? std::string(text, std::char_traits<char>::length(text) - 1)
               : "";
  }
  std::string ask(const std::string& command) {
    tell(command);
    return line();
  }

 private:
  pid_t pid_ = -1;
  FILE* commands_ = nullptr;
  FILE* answers_ = nullptr;
};

std::string part_of(const std::string& answer, const char* key) {
  const size_t at = answer.find(key);
  return at == std::string::npos ? "" : answer.substr(at, answer.find_first_of(",}", at) - at);
}

double at(std::vector<double>& values, double share) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[static_cast<size_t>(share * static_cast<double>(values.size() - 1))];
}

int run(const std::string& path, const std::string& name, int cycles, std::FILE* rows) {
  Target alone(path), target(path);
  if (alone.line() != "ready" || target.line() != "ready") return 5;
  auto bytes = symbols::FileBytes::open(Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)), uint64_t{1} << 32);
  if (!bytes) return 5;
  auto binary = symbols::Binary::open(std::move(*bytes));
  auto probe = probe::open_port();
  if (!binary || !probe) return 5;
  const Result<SpaceId> space = (*probe)->trace(target.pid(), false);
  if (!space) return 5;

  const Fd folder(::open(fmt::format("/proc/{}", target.pid()).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  Result<remote::ProcessMemory> mine = remote::ProcessMemory::open(folder);
  if (!mine) return 5;
  const auto byte_at = [&mine](uint64_t address) -> std::optional<uint8_t> {
    const Result<uint8_t> byte = remote::read_value<uint8_t>(*mine, address);
    return byte ? std::optional(*byte) : std::nullopt;
  };
  const symbols::ProgramFacts facts = symbols::describe_program(**binary, goruntime::probe_question());
  target.tell("churn");
  std::vector<double> attach_us, detach_us;
  uint64_t calls = 0, samples = 0, hits_before = 0;
  const uint64_t begun = now_ns();
  for (int cycle = 1; cycle <= cycles; ++cycle) {
    events::GoProbePlan plan;
    plan.tgid = target.pid();
    plan.file = Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    plan.byte_at = byte_at;
    plan.sites = goruntime::find_probe_sites(facts, *mine, 0, true).sites;
    const std::vector<events::GoSite> sites = plan.sites;
    const uint64_t before = now_ns();
    (*probe)->probe_go(*space, std::move(plan));
    const uint64_t attached = now_ns();
    // All of them, every time: the program links its heap profile, as one with net/http/pprof does.
    if (sites.size() != events::kGoFunctions || (*probe)->hooks().hooks.empty()) {
      fmt::print(stderr, "cycle {}: {} of {} sites\n", cycle, sites.size(), events::kGoFunctions);
      return 1;
    }
    // Attached for as long as it takes the program to be met a few times: at most 20 ms.
    for (const uint64_t enough = calls + 20; calls < enough && now_ns() < attached + 20'000'000;)
      (*probe)->drain([&](const events::Event& event) {
        const auto* call = std::get_if<events::GoCall>(&event.payload);
        if (call == nullptr) return;
        ++calls;
        samples += call->function == events::GoFunction::kSampledAllocation;
      });
    const uint64_t detaching = now_ns();
    (*probe)->unprobe_go(*space);
    detach_us.push_back(static_cast<double>(now_ns() - detaching) / 1e3);
    attach_us.push_back(static_cast<double>(attached - before) / 1e3);
    for (const events::GoSite& site : sites) {
      uint8_t byte = 0;
      if (mine->read_code(site.address, std::as_writable_bytes(std::span(&byte, 1))) && byte == site.byte)
        continue;
      fmt::print(stderr, "cycle {}: {}\n", cycle,
                 target.alive() ? "a breakpoint was left" : "the program died");
      return 1;
    }
    if (cycle % 100 != 0 && cycle != cycles) continue;
    uint64_t hits = 0, ns = 0;
    for (const events::ProgramCost& cost : (*probe)->coverage().programs)
      if (cost.program.starts_with("go_")) hits += cost.runs, ns += cost.run_time_ns;
    fmt::print(rows, "{},{},{:.3f},{:.0f},{:.0f},{:.0f},{:.0f},{},{},{}\n", name, cycle,
               static_cast<double>(now_ns() - begun) / 1e9, at(attach_us, 0.5), at(attach_us, 0.99),
               at(detach_us, 0.5), at(detach_us, 0.99), hits - hits_before, calls, hits == 0 ? 0 : ns / hits);
    std::fflush(rows);
    hits_before = hits;
    attach_us.clear();
    detach_us.clear();
  }
  const double seconds = static_cast<double>(now_ns() - begun) / 1e9;
  const std::string answer = target.ask("stop");
  const std::string wanted = part_of(alone.ask("large 200 65536"), "\"checksum\"");
  const std::string got = part_of(target.ask("large 200 65536"), "\"checksum\"");
  const bool good = !answer.empty() && !wanted.empty() && wanted == got;
  fmt::print("{}: {} cycles in {:.0f} s, {} rounds of the program, {} calls seen ({} samples), {} {}, {}\n",
             name, cycles, seconds, part_of(answer, "\"count\""), calls, samples, got,
             wanted == got ? "as without probes" : "NOT as without probes", good ? "0 deaths" : "DIED");
  return good ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Attach and detach the probes of the Go runtime, again and again");
  std::vector<std::string> targets;
  std::string rows_path;
  int cycles = 10'000;
  app.add_option("--target", targets, "NAME=PATH of a go_probed program")->required();
  app.add_option("--rows", rows_path, "a CSV to write")->required();
  app.add_option("--cycles", cycles, "for all targets together");
  CLI11_PARSE(app, argc, argv);
  std::FILE* rows = std::fopen(rows_path.c_str(), "w");
  if (!rows) return 7;
  fmt::print(rows,
             "target,cycle,seconds,attach_us_p50,attach_us_p99,detach_us_p50,detach_us_p99,hits,calls_seen,"
             "ns_per_hit\n");
  int status = 0;
  for (const std::string& target : targets) {
    const size_t equals = target.find('=');
    if (equals == std::string::npos) return 2;
    const int one = run(target.substr(equals + 1), target.substr(0, equals),
                        cycles / static_cast<int>(targets.size()), rows);
    if (one != 0) fmt::print(stderr, "{}: failed ({})\n", target, one);
    status = std::max(status, one);
  }
  std::fclose(rows);
  return status;
}
