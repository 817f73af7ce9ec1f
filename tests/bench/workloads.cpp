// SPDX-License-Identifier: Apache-2.0
// bench_workloads: what memwhy's programs cost inside real programs, by the kernel's own account of their run
// time (kernel.bpf_stats). Wall-clock times of whole programs differ by more than memwhy costs, so they are
// not compared. Unwind rules are learned as memwhy record does it, and what that costs is counted. One row for each repetition;
// report.py makes the medians.
//
//   bench_workloads --rows out.csv  "compiler=g++ -O0 -c regex.cpp -o /dev/null"  "node=node objects.js"
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "app/privilege.h"
#include "app/teaching.h"
#include "base/exit_status.h"
#include "base/fd.h"
#include "base/time.h"
#include "child.h"
#include "probe/kernel_probe.h"

namespace memwhy::bench {
namespace {

constexpr int kDrainMs = 50;  // as the recorder does

struct Cost {
  uint64_t fault_runs = 0, fault_ns = 0, all_ns = 0, faults = 0;
};

Cost cost_of(const events::Coverage& coverage) {
  Cost cost;
  cost.faults = coverage.faults_seen;
  for (const events::ProgramCost& program : coverage.programs) {
    cost.all_ns += program.run_time_ns;
    if (program.program.find("fault") != std::string::npos) {
      cost.fault_runs += program.runs;
      cost.fault_ns += program.run_time_ns;
    }
  }
  return cost;
}

// Who learns, in a thread of its own with children of its own, and its CPU time. The bench itself has but one other thread.
class Lessons {
 public:
  static Result<std::unique_ptr<Lessons>> start(probe::KernelProbe& kernel) {
    auto files = files::Children::start({.program = MEMWHY_PROGRAM});
    if (!files) return std::move(files).error();
    auto proc = procfs::Root::open("/proc");
    if (!proc) return std::move(proc).error();
    auto lessons = std::unique_ptr<Lessons>(new Lessons);
    lessons->counts_ = kernel.unwinding();
    lessons->files_ = files->get();
    constexpr uint64_t kAll = ~uint64_t{0};
    lessons->teaching_ =
        std::make_unique<app::Teaching>(kernel.unwinding(), std::move(*files), std::move(*proc),
                                        app::plan_privileges(kAll, true, false).teaching);
    return lessons;
  }
  static uint64_t thread_ns() {
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID) - clock_ns(CLOCK_THREAD_CPUTIME_ID);
  }
  probe::SnapshotCounts snapshots() const { return counts_->snapshots(); }
  uint64_t children_ns() const {
    uint64_t all = 0;
    // the one that reads memory is started when it is needed first
    for (const pid_t child : {files_->opener(), files_->parser(), files_->memory_reader()}) {
      uint64_t one = 0;
      std::ifstream(fmt::format("/proc/{}/schedstat", child)) >> one;
      all += one;
    }
    return all;
  }

 private:
  Lessons() = default;
  std::unique_ptr<probe::Unwinding> counts_;  // ends after `teaching_`
  files::Children* files_ = nullptr;          // of `teaching_`
  std::unique_ptr<app::Teaching> teaching_;
};

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

// Starts `command` when its first instruction will be traced, follows its children, and waits for its end.
Result<std::string> run_once(const std::vector<std::string>& command) {
  probe::Options options;
  options.run_time = probe::RunTime::Mode::kAlways;
  Result<std::unique_ptr<probe::KernelProbe>> opened = probe::KernelProbe::open(options);
  if (!opened) return std::move(opened).error();
  const std::unique_ptr<probe::Port> port = (*opened)->port();
  probe::Port& kernel = *port;
  auto lessons = Lessons::start(**opened);
  if (!lessons) return std::move(lessons).error();
  std::array<int, 2> gate{};
  if (pipe2(gate.data(), O_CLOEXEC) != 0) return errno_error(ErrorCode::kEnvironment, "pipe", errno);
  const Fd wait_side(gate[0]);
  Fd open_side(gate[1]);
  const auto wait_for_gate = [&] {
    char go = 0;
    return read(wait_side.get(), &go, 1) == 1;
  };
  Result<Child> child =
      Child::start(command, {.cpus = {}, .fifo = false, .before_exec = wait_for_gate, .quiet = true});
  if (!child) return std::move(child).error();
  Result<SpaceId> traced = kernel.trace(child->pid(), /*follow=*/true);
  if (!traced) return std::move(traced).error();

  rusage before{};
  getrusage(RUSAGE_CHILDREN, &before);
  const Cost start = cost_of(kernel.coverage());
  const uint64_t thread = Lessons::thread_ns(), children = (*lessons)->children_ns();
  const auto clock = std::chrono::steady_clock::now();
  if (write(open_side.get(), "g", 1) != 1)
    return errno_error(ErrorCode::kTargetGone, "starting the workload", errno);
  while (child->running()) {
    kernel.drain([](events::Event) {});
    poll(nullptr, 0, kDrainMs);
  }
  const double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - clock).count();
  int status = 0;
  if (Status ended = child->wait(status); !ended) return std::move(ended).error();
  if (status != 0) return Error(ErrorCode::kEnvironment, fmt::format("ended with status {:#x}", status));
  rusage after{};
  getrusage(RUSAGE_CHILDREN, &after);
  const Cost end = cost_of(kernel.coverage());
  const uint64_t learned = Lessons::thread_ns() - thread, asked = (*lessons)->children_ns() - children;
  const double cpu =
      seconds(after.ru_utime) + seconds(after.ru_stime) - seconds(before.ru_utime) - seconds(before.ru_stime);
  const probe::SnapshotCounts snapshots = (*lessons)->snapshots();
  return fmt::format("{},{},{},{},{:.3f},{:.3f},{},{},{},{}", end.faults - start.faults,
                     end.fault_runs - start.fault_runs, end.fault_ns - start.fault_ns,
                     end.all_ns - start.all_ns, wall, cpu, learned, asked, snapshots.sent,
                     snapshots.limited + snapshots.lost);
}

std::vector<std::string> words(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> found;
  for (std::string word; stream >> word;) found.push_back(word);
  return found;
}

}  // namespace
}  // namespace memwhy::bench

int main(int argc, char** argv) {
  std::string rows_path;
  std::vector<std::string> workloads;
  int repetitions = 5;
  CLI::App app("What memwhy's programs cost inside real programs: rows for report.py");
  app.add_option("--rows", rows_path, "CSV to write")->required();
  app.add_option("--repetitions", repetitions)->check(CLI::Range(1, 1000));
  app.add_option("workload", workloads, "NAME=COMMAND, words split at blanks")->required();
  CLI11_PARSE(app, argc, argv);
  libbpf_set_print(nullptr);
  std::FILE* rows = std::fopen(rows_path.c_str(), "we");
  if (rows == nullptr) {
    fmt::print(stderr, "bench_workloads: {}: cannot be written\n", rows_path);
    return memwhy::exit_status(memwhy::ErrorCode::kOutput);
  }
  fmt::print(rows,
             "workload,faults,fault_runs,fault_ns,all_ns,wall_s,cpu_s,learn_ns,files_ns,snapshots,limited,"
             "problem\n");
  for (int repetition = 0; repetition < repetitions;
       ++repetition) {  // interleaved: all of them meet the same noise
    for (const std::string& workload : workloads) {
      const size_t equals = workload.find('=');
      const std::string name = workload.substr(0, equals);
      const auto row = memwhy::bench::run_once(memwhy::bench::words(workload.substr(equals + 1)));
      if (row) {
        fmt::print(rows, "{},{},\n", name, *row);
      } else {
        fmt::print(rows, "{},,,,,,,,,,,{}\n", name, row.error().message());
      }
      std::fflush(rows);
      fmt::print(stderr, "\rworkloads: {} of {}: {}          ", repetition + 1, repetitions, name);
    }
  }
  fmt::print(stderr, "\n");
  std::fclose(rows);
  return 0;
}
