// SPDX-License-Identifier: Apache-2.0
// bench_faults: what each tracer adds to a page fault. Measures, and writes every single pass as a row; the
// medians and the table are report.py's.
//
// A run is a row of slots. Between two slots of cheap variants sits one block of a peer, and is compared with
// both:
//
//   slot 0          1          2          3       4          5        …
//   cheap variants  bpftrace   cheap      perf    cheap      bpftrace …
//   each in random             each in            each in
//   order, ~15 ms a            random             random
//   scenario                   order              order
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "base/exit_status.h"
#include "child.h"
#include "peer.h"
#include "served.h"
#include "variant.h"

namespace memwhy::bench {
namespace {

struct Scenario {
  std::string name, access;
  int passes = 0;  // the first after each switch is a row too, but not used: it meets cold caches
};

struct Options {
  std::string target_c, target_go, empty_object, rows, scratch;
  int rounds = 24, cpu = -1;
  bool peers = true;
  std::vector<std::string> others;  // NAME=COMMAND
  std::vector<std::string> only;    // names of variants; empty: all
};

// A recording looks for new code every few ms, this bench after each pass; and one look allows so many snapshots.
constexpr int kMostWarmPasses = 16;

class Run {
 public:
  explicit Run(Options options) : options_(std::move(options)), random_(std::random_device{}()) {}

  Status measure();

 private:
  Status measure_target(const std::string& label, const std::string& program,
                        std::vector<Scenario> scenarios);
  Status cheap_slot();
  Status peer_slot(PeerKind kind);
  Status passes(const std::string& variant, bool keep = true);
  Status save_facts(bool complete) const;

  Options options_;
  std::mt19937 random_;
  std::vector<int> other_cpus_;
  std::vector<std::unique_ptr<Variant>> variants_;
  std::vector<std::string> notes_;
  std::FILE* rows_ = nullptr;
  // of the target being measured
  std::string label_;
  Target* target_ = nullptr;
  std::vector<Scenario> scenarios_;
  int slot_ = 0;
};

Status Run::passes(const std::string& variant, bool keep) {
  std::shuffle(scenarios_.begin(), scenarios_.end(), random_);
  for (const Scenario& scenario : scenarios_) {
    // Rules are learned from one; more would fill the table of stacks, from the tree, before it is measured.
    Result<std::vector<double>> values =
        target_->touch(scenario.name, scenario.access, keep ? scenario.passes : 1);
    if (!values) return std::move(values).error().with(variant);
    for (size_t pass = 0; keep && pass < values->size(); ++pass) {
      fmt::print(rows_, "{},{},{},{},{},{},{:.1f}\n", label_, scenario.name, scenario.access, slot_, variant,
                 pass, (*values)[pass]);
    }
  }
  std::fflush(rows_);
  return {};
}

Status Run::cheap_slot() {
  std::shuffle(variants_.begin(), variants_.end(), random_);
  for (const auto& variant : variants_) {
    if (Status on = variant->on(target_->pid()); !on) return std::move(on).error().with(variant->name());
    for (int i = 0; i < kMostWarmPasses && variant->learn(); ++i)
      if (Status warm = passes(variant->name(), false); !warm) return warm;
    variant->learn();
    Status measured = passes(variant->name());
    if (Status off = variant->off(); !off) return std::move(off).error().with(variant->name());
    if (!measured) return measured;
  }
  ++slot_;
  return {};
}

Status Run::peer_slot(PeerKind kind) {
  Result<Peer> peer = Peer::attach(kind, target_->pid(), other_cpus_, options_.scratch);
  if (!peer) return std::move(peer).error();
  Status measured = passes(kind == PeerKind::kPerf ? "perf" : "bpftrace");
  ++slot_;
  peer->detach();
  return measured;
}

Status Run::measure_target(const std::string& label, const std::string& program,
                           std::vector<Scenario> scenarios) {
  Result<Target> target = Target::start(program, options_.cpu);
  if (!target) return std::move(target).error();
  label_ = label;
  target_ = &*target;
  scenarios_ = std::move(scenarios);
  slot_ = 0;
  if (Status warm = passes("warm-up", false); !warm) return warm;
  if (Status first = cheap_slot(); !first) return first;
  for (int round = 0; round < options_.rounds; ++round) {
    for (const PeerKind kind : {PeerKind::kBpftrace, PeerKind::kPerf}) {
      if (options_.peers) {
        if (Status done = peer_slot(kind); !done) return done;
      }
      if (Status done = cheap_slot(); !done) return done;
    }
    fmt::print(stderr, "\r{}: round {} of {}", label, round + 1, options_.rounds);
  }
  fmt::print(stderr, "\n");
  return {};
}

Status Run::measure() {
  const int cpus = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  if (options_.cpu < 0) options_.cpu = cpus - 1;
  cpu_set_t own;
  CPU_ZERO(&own);
  for (int cpu = 0; cpu < cpus; ++cpu) {
    if (cpu == options_.cpu && cpus > 1) continue;
    other_cpus_.push_back(cpu);
    CPU_SET(cpu, &own);
  }
  sched_setaffinity(0, sizeof own, &own);
  const ChildOptions quiet = {.cpus = other_cpus_, .fifo = false, .before_exec = {}, .quiet = true};
  Result<Child> one = Child::start({"sleep", "infinity"}, quiet);
  Result<Child> two = Child::start({"sleep", "infinity"}, quiet);
  if (!one) return std::move(one).error();
  if (!two) return std::move(two).error();
  auto variants = make_variants(options_.empty_object, {one->pid(), two->pid()}, notes_);
  if (!variants) return std::move(variants).error();
  variants_ = std::move(*variants);
  for (const std::string& text : options_.others) {
    auto other = served_by(text, other_cpus_);
    if (!other) return std::move(other).error();
    variants_.push_back(std::move(*other));
  }
  std::erase_if(variants_, [this](const auto& variant) {
    return !options_.only.empty() && std::ranges::find(options_.only, variant->name()) == options_.only.end();
  });

  rows_ = std::fopen(options_.rows.c_str(), "we");
  if (rows_ == nullptr) return errno_error(ErrorCode::kOutput, options_.rows, errno);
  fmt::print(rows_, "target,scenario,access,slot,variant,pass,ns\n");
  if (Status saved = save_facts(false); !saved) return saved;
  Status done = measure_target("c", options_.target_c,
                               {{"seq", "read", 6},
                                {"seq", "write", 5},
                                {"random", "read", 4},
                                {"random", "write", 4},
                                {"sites", "read", 6},
                                {"sites", "write", 5},
                                {"foreign", "read", 6},
                                {"tree", "read", 6}});
  if (done) done = measure_target("go", options_.target_go, {{"seq", "read", 6}, {"seq", "write", 5}});
  std::fclose(rows_);
  if (!done) return done;
  return save_facts(true);
}

std::string first_line(const std::string& path, const std::string& with) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(with)) return line;
  }
  return "";
}

// What the report needs to say about where and how; no host name, no path.
Status Run::save_facts(bool complete) const {
  utsname kernel{};
  uname(&kernel);
  std::string model = first_line("/proc/cpuinfo", "model name");
  model.erase(0, std::min(model.size(), model.find(": ") + 2));
  static const std::string load_before = first_line("/proc/loadavg", "");
  const nlohmann::json facts = {
      {"complete", complete},
      {"kernel", kernel.release},
      {"cpu", model},
      {"cpus", sysconf(_SC_NPROCESSORS_ONLN)},
      {"rounds", options_.rounds},
      {"load_before", load_before},
      {"load_after", first_line("/proc/loadavg", "")},
      {"notes", notes_},
      {"commands", {{"bpftrace", command_of(PeerKind::kBpftrace)}, {"perf", command_of(PeerKind::kPerf)}}},
  };
  std::ofstream file(options_.rows + ".json");
  file << facts.dump(2) << '\n';
  return file.good() ? Status{}
                     : Status(Error(ErrorCode::kOutput, "the facts beside the rows could not be written"));
}

Status serve_memwhy() {
  std::vector<std::string> notes;
  auto variant = make_memwhy(notes);
  return variant ? serve(**variant) : Status(std::move(variant).error());
}

}  // namespace
}  // namespace memwhy::bench

int main(int argc, char** argv) {
  memwhy::bench::Options options;
  bool serve = false;
  CLI::App app("What each tracer adds to a page fault: rows for report.py");
  app.add_option("--target-c", options.target_c);
  app.add_option("--target-go", options.target_go);
  app.add_option("--empty", options.empty_object, "empty.bpf.o");
  app.add_option("--rows", options.rows, "CSV to write; facts go beside it, with .json");
  app.add_option("--scratch", options.scratch, "folder for what perf writes");
  app.add_option("--rounds", options.rounds, "blocks of each peer")->check(CLI::Range(1, 10000));
  app.add_option("--cpu", options.cpu, "the target's CPU (default: the last one)");
  app.add_flag("!--no-peers", options.peers, "leave bpftrace and perf out");
  app.add_option("--other", options.others,
                 "NAME=COMMAND: another build, as one more variant (its bench_faults --serve)");
  app.add_option("--only", options.only, "names of variants: no others are measured");
  app.add_flag("--serve", serve, "be that: obey orders on stdin");
  CLI11_PARSE(app, argc, argv);

  std::signal(SIGPIPE, SIG_IGN);
  libbpf_set_print(nullptr);
  const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
  setrlimit(RLIMIT_MEMLOCK, &unlimited);
  const memwhy::Status done =
      serve ? memwhy::bench::serve_memwhy() : memwhy::bench::Run(std::move(options)).measure();
  if (done) return 0;
  fmt::print(stderr, "bench_faults: {}\n", done.error().message());
  return memwhy::exit_status(done.error().code());
}
