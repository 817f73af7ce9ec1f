// SPDX-License-Identifier: Apache-2.0
// bench_goheap: what it costs to read the Go heap of a live process from outside, and what that does to the
// process. One heap in one run; the rows go into a JSON file, goheap.py makes the table.
//
//   rounds   each of these once, in random order: tables (page classes by the runtime's own tables), spans (and
//            which slots are live), join (tables, spans, residency of the same moment: what `explain` reads), bare
//            PAGEMAP_SCAN of the heap's mappings without a pause, the same as the product paces it, smaps
//   pairs    the target works for a second, undisturbed and while this process reads (join, back to back), in
//            random order: how long its pieces of work took
//
// The target has the last two CPUs, this process the others.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "base/exit_status.h"
#include "child.h"
#include "files/child.h"
#include "files/memory_reader.h"
#include "goruntime/open_program.h"
#include "goruntime/pages.h"
#include "goruntime/spans.h"
#include "procfs/process.h"
#include "remote/memory.h"
#include "symbols/local_binaries.h"

namespace memwhy::bench {
namespace {

using nlohmann::json;

constexpr int kBlockMs = 1000;
constexpr int kReadyMs = 600'000;
constexpr int kAnswerMs = 120'000;

double ms_of(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

// Lines of the target.
class Lines {
 public:
  explicit Lines(int fd) : fd_(fd) {}

  // Whether a line can be had without waiting for longer than this.
  bool ready(int patience_ms) {
    while (pending_.find('\n') == std::string::npos) {
      pollfd waiting{.fd = fd_, .events = POLLIN, .revents = 0};
      if (poll(&waiting, 1, patience_ms) != 1) return false;
      std::array<char, 65536> chunk{};
      const ssize_t got = read(fd_, chunk.data(), chunk.size());
      if (got <= 0) return false;
      pending_.append(chunk.data(), static_cast<size_t>(got));
    }
    return true;
  }
  std::string take() {
    const size_t end = pending_.find('\n');
    std::string line = pending_.substr(0, end);
    pending_.erase(0, end + 1);
    return line;
  }

 private:
  int fd_;
  std::string pending_;
};

// The memory of the target, and what is read of it. CPU time: of this thread and of the child that reads, if there is one.
class Counted final : public remote::RemoteMemory {
 public:
  Counted(std::unique_ptr<remote::RemoteMemory> memory, std::shared_ptr<files::MemoryReader> child)
      : memory_(std::move(memory)), child_(std::move(child)) {}
  Status read(uint64_t address, std::span<std::byte> into) override {
    count(into.size());
    return memory_->read(address, into);
  }
  Status read_touched(uint64_t address, std::span<std::byte> into) override {
    count(into.size());
    return memory_->read_touched(address, into);
  }
  Result<uint64_t> read_present(uint64_t address, std::span<std::byte> into) override {
    count(into.size());
    return memory_->read_present(address, into);
  }
  Status read_each(std::span<remote::Piece> pieces) override {
    ++calls_;
    for (const remote::Piece& piece : pieces) bytes_ += piece.into.size();
    return memory_->read_each(pieces);
  }
  uint64_t calls() const { return calls_; }
  uint64_t bytes_read() const { return bytes_; }
  double cpu_ms() const {
    const double child = child_ ? static_cast<double>(child_->cpu_ns()) / 1e6 : 0;
    return ms_of(CLOCK_THREAD_CPUTIME_ID) + child;
  }

 private:
  void count(size_t bytes) {
    ++calls_;
    bytes_ += bytes;
  }
  std::unique_ptr<remote::RemoteMemory> memory_;
  std::shared_ptr<files::MemoryReader> child_;
  uint64_t calls_ = 0, bytes_ = 0;
};

class Bench {
 public:
  Bench(procfs::Process process, Counted memory, goruntime::Globals globals, Child target, json rows)
      : process_(std::move(process)),
        memory_(std::move(memory)),
        globals_(std::move(globals)),
        target_(std::move(target)),
        lines_(target_.out()),
        rows_(std::move(rows)) {}

  Lines& lines() { return lines_; }
  pid_t pid() const { return target_.pid(); }

  Status prepare() {
    Result<goruntime::HeapPages> pages = goruntime::read_pages(memory_, globals_);
    if (!pages) return std::move(pages).error();
    if (!pages->verified) return Error(ErrorCode::kDamaged, "the tables were not verified");
    Result<std::vector<events::Vma>> vmas = process_.vmas();
    if (!vmas) return std::move(vmas).error();
    const AddressRange heap = {pages->runs.front().address,
                               pages->runs.back().address + pages->runs.back().pages * uint64_t{8192}};
    for (const events::Vma& vma : *vmas)
      if (vma.range.start < heap.end && vma.range.end > heap.start) heap_.push_back(vma);
    rows_["heap_bytes"] = std::accumulate(pages->bytes.begin(), pages->bytes.end(), uint64_t{0});
    rows_["runs"] = pages->runs.size();
    return {};
  }

  Status rounds(int count) {
    using Step = std::pair<const char*, std::function<Status()>>;
    std::vector<Step> steps = {{"tables", [this] { return tables(); }},
                               {"spans", [this] { return spans(); }},
                               {"join", [this] { return join({.pause_ns = 0}); }},
                               {"scan", [this] { return scan({.pause_ns = 0}); }},
                               {"paced scan", [this] { return scan({}); }},
                               {"smaps", [this] { return smaps(); }}};
    for (int round = 0; round <= count; ++round) {  // the first one warms up and is not kept
      std::shuffle(steps.begin(), steps.end(), random_);
      for (const auto& [name, step] : steps) {
        const uint64_t calls = memory_.calls(), bytes = memory_.bytes_read();
        const double wall = ms_of(CLOCK_MONOTONIC), cpu = memory_.cpu_ms();
        if (Status done = step(); !done) return done;
        const double cpu_ms = memory_.cpu_ms() - cpu, wall_ms = ms_of(CLOCK_MONOTONIC) - wall;
        if (round > 0)
          rows_["rounds"].push_back({{"round", round},
                                     {"what", name},
                                     {"wall_ms", wall_ms},
                                     {"cpu_ms", cpu_ms},
                                     {"calls", memory_.calls() - calls},
                                     {"bytes", memory_.bytes_read() - bytes}});
      }
    }
    return {};
  }

  Status pairs(int count) {
    for (int pair = 0; pair < count; ++pair) {
      const bool first = (random_() & 1) != 0;
      for (const bool reading : {first, !first}) {
        if (Status done = block(pair, reading); !done) return done;
      }
    }
    return {};
  }

  Status save(const std::string& path) const {
    std::ofstream out(path);
    out << rows_.dump(1) << "\n";
    return out.flush() ? Status() : Status(Error(ErrorCode::kOutput, "writing " + path));
  }

 private:
  Status tables() {
    Result<goruntime::HeapPages> pages = goruntime::read_pages(memory_, globals_);
    if (!pages) return std::move(pages).error();
    return pages->verified ? Status() : Status(Error(ErrorCode::kDamaged, "the tables were not verified"));
  }
  Status spans() {
    Result<goruntime::HeapPages> pages = goruntime::read_pages(memory_, globals_);
    if (!pages) return std::move(pages).error();
    Result<goruntime::SpanTable> spans = goruntime::read_spans(memory_, globals_, *pages);
    return spans ? Status() : Status(std::move(spans).error());
  }
  Status join(const procfs::ScanPace& pace) {
    Result<events::PageScan> resident = scan_heap(pace);
    if (!resident) return std::move(resident).error();
    Result<goruntime::HeapPages> pages = goruntime::read_pages(memory_, globals_);
    if (!pages) return std::move(pages).error();
    Result<goruntime::SpanTable> spans = goruntime::read_spans(memory_, globals_, *pages);
    if (!spans) return std::move(spans).error();
    return goruntime::join_residency(*pages, *spans, resident->runs).empty()
               ? Status(Error(ErrorCode::kAbsent, "nothing to join"))
               : Status();
  }
  Result<events::PageScan> scan_heap(const procfs::ScanPace& pace) {
    process_.scan_with(procfs::PageScanner::Method::kBest, pace);
    return process_.scan(heap_);
  }
  Status scan(const procfs::ScanPace& pace) {
    Result<events::PageScan> resident = scan_heap(pace);
    return resident ? Status() : Status(std::move(resident).error());
  }
  Status smaps() const {
    const Fd file(::openat(process_.directory().get(), "smaps", O_RDONLY | O_CLOEXEC));
    std::array<char, 65536> chunk{};
    ssize_t got = file ? 1 : -1;
    while (got > 0) got = ::read(file.get(), chunk.data(), chunk.size());
    return got == 0 ? Status() : Status(errno_error(ErrorCode::kTargetGone, "reading smaps", errno));
  }

  Status block(int pair, bool reading) {
    const std::string request = fmt::format("run {}\n", kBlockMs);
    if (write(target_.in(), request.data(), request.size()) != static_cast<ssize_t>(request.size()))
      return errno_error(ErrorCode::kTargetGone, "asking the target", errno);
    int passes = 0;
    const double cpu = ms_of(CLOCK_THREAD_CPUTIME_ID);
    for (; reading && !lines_.ready(0); ++passes)
      if (Status done = join({}); !done) return done;
    const double cpu_ms = ms_of(CLOCK_THREAD_CPUTIME_ID) - cpu;
    if (!lines_.ready(kAnswerMs)) return Error(ErrorCode::kTargetGone, "the target does not answer");
    const std::string line = lines_.take();
    std::vector<int64_t> took;
    for (const char *at = line.data(), *end = at + line.size(); at < end;) {
      int64_t value = 0;
      const auto [next, failure] = std::from_chars(at, end, value);
      if (failure != std::errc{}) break;
      took.push_back(value);
      at = next + 1;
    }
    if (took.size() != kBlockMs) return Error(ErrorCode::kTargetGone, "the target's answer is cut");
    std::sort(took.begin(), took.end());
    const auto us = [&](size_t at) { return static_cast<double>(took[at]) / 1e3; };
    rows_["pairs"].push_back({{"pair", pair},
                              {"reading", reading},
                              {"passes", passes},
                              {"reader_cpu_ms", cpu_ms},
                              {"p50_us", us(kBlockMs / 2)},
                              {"p99_us", us(kBlockMs * 99 / 100)},
                              {"max_us", us(kBlockMs - 1)}});
    return {};
  }

  procfs::Process process_;
  Counted memory_;
  goruntime::Globals globals_;
  Child target_;
  Lines lines_;
  std::vector<events::Vma> heap_;  // the mappings that the heap lies in
  json rows_;
  std::mt19937 random_{7};  // NOLINT(*-msc51-cpp): the order of each run is the same
};

struct Options {
  std::string program, rows, kind = "small", reader = "child";
  double gib = 1;
  int rounds = 20, pairs = 20;
};

// Keeps this process off the target's CPUs; those are returned.
std::vector<int> split_cpus() {
  const int cpus = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  if (cpus < 4) return {};
  cpu_set_t ours;
  CPU_ZERO(&ours);
  for (int cpu = 0; cpu < cpus - 2; ++cpu) CPU_SET(cpu, &ours);
  sched_setaffinity(0, sizeof ours, &ours);
  return {cpus - 2, cpus - 1};
}

// The target goes first when memory runs out.
bool offer_to_oom_killer() {
  const Fd file(::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  return file && ::write(file.get(), "1000", 4) == 4;
}

double load() {
  double average = 0;
  return getloadavg(&average, 1) == 1 ? average : -1;
}

Status measure(const Options& options) {
  Result<Child> target =
      Child::start({options.program, options.kind, fmt::format("{}", options.gib)},
                   {.cpus = split_cpus(), .fifo = false, .before_exec = offer_to_oom_killer, .quiet = false});
  if (!target) return std::move(target).error().with(options.program);
  const auto pid = static_cast<Pid>(target->pid());
  Lines lines(target->out());
  if (!lines.ready(kReadyMs)) return Error(ErrorCode::kTargetGone, "the target did not get ready");

  Result<procfs::Root> root = procfs::Root::open("/proc");
  if (!root) return std::move(root).error();
  Result<procfs::Process> process = procfs::Process::open(*root, pid);
  if (!process) return std::move(process).error();
  std::optional<Counted> memory;
  if (options.reader == "child") {
    auto child = std::make_shared<files::MemoryReader>(files::MemoryReaderOptions{});
    Result<std::unique_ptr<remote::RemoteMemory>> by_child = child->open(process->directory(), pid);
    if (!by_child) return std::move(by_child).error();
    memory.emplace(*std::move(by_child), std::move(child));
  } else {
    Result<remote::ProcessMemory> by_us = remote::ProcessMemory::open(process->directory());
    if (!by_us) return std::move(by_us).error();
    memory.emplace(std::make_unique<remote::ProcessMemory>(*std::move(by_us)), nullptr);
  }
  Result<std::vector<events::Vma>> vmas = process->vmas();
  if (!vmas) return std::move(vmas).error();
  symbols::LocalBinaries binaries(Fd(::fcntl(root->fd(), F_DUPFD_CLOEXEC, 0)));
  goruntime::FilesWithoutGo without;
  Result<std::optional<goruntime::OpenedProgram>> opened =
      goruntime::open_program({binaries, {}}, pid, *vmas, without);
  if (!opened) return std::move(opened).error();
  const goruntime::GoProgram* program = *opened ? &(*opened)->program : nullptr;
  if (program == nullptr) return Error(ErrorCode::kBadInput, "the target is no Go program");
  int minor = 0;
  std::from_chars(program->version.data() + 4, program->version.data() + program->version.size(), minor);
  const goruntime::Layout* layout = goruntime::layout_of(minor);
  if (layout == nullptr) return Error(ErrorCode::kBadInput, program->version + " is not known");
  const double cpu = memory->cpu_ms();
  Result<goruntime::Globals> globals = goruntime::find_globals(*memory, *layout, program->image);
  if (!globals) return std::move(globals).error();
  const json rows = {{"case", options.kind},
                     {"gib", options.gib},
                     {"version", program->version},
                     {"load", load()},
                     {"search_cpu_ms", memory->cpu_ms() - cpu},
                     {"rounds", json::array()},
                     {"pairs", json::array()}};
  Bench bench(std::move(*process), std::move(*memory), std::move(*globals), std::move(*target), rows);
  if (Status done = bench.prepare(); !done) return done;
  if (Status done = bench.rounds(options.rounds); !done) return done;
  if (Status done = bench.pairs(options.pairs); !done) return done;
  return bench.save(options.rows);
}

}  // namespace
}  // namespace memwhy::bench

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (memwhy::files::is_child(words)) return memwhy::files::run_child(words);
  memwhy::bench::Options options;
  CLI::App app(
      "Reading a live Go heap: its cost, and what the target feels of it. One heap: rows for goheap.py");
  app.add_option("--target", options.program, "goheap_target")->required();
  app.add_option("--rows", options.rows, "JSON to write")->required();
  app.add_option("--objects", options.kind)->check(CLI::IsMember({"small", "large"}));
  app.add_option("--reader", options.reader,
                 "who reads the memory: a child as in the product, or this process")
      ->check(CLI::IsMember({"child", "self"}));
  app.add_option("--gib", options.gib)->check(CLI::Range(0.0625, 1024.0));
  app.add_option("--rounds", options.rounds)->check(CLI::Range(1, 1000));
  app.add_option("--pairs", options.pairs)->check(CLI::Range(0, 1000));
  CLI11_PARSE(app, argc, argv);
  const memwhy::Status done = memwhy::bench::measure(options);
  if (done) return 0;
  fmt::print(stderr, "bench_goheap: {}\n", done.error().message());
  return memwhy::exit_status(done.error().code());
}
