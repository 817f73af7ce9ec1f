// SPDX-License-Identifier: Apache-2.0
// bench_model: the per-page and per-event paths of userspace, one row per repetition: name,unit,value.
//
//   reconcile   timeline/: 4 M resident pages (16 GiB) joined with 4 M page-table entries; with long runs and
//   with none write       trace/: page-table runs and scan runs, encoded, compressed, checksummed, written to
//   a memory file lookup      symbols/: a code address of a Go program and of this C++ program to its frames
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <random>

#include "base/exit_status.h"
#include "symbols/binary.h"
#include "timeline/timeline.h"
#include "trace/writer.h"

namespace memwhy::bench {
namespace {

constexpr PageNumber kFirstPage = 0xc000000;  // 0xc000000000 >> 12, where Go puts its heap
constexpr size_t kPages = size_t{4} << 20;
constexpr uint32_t kStacks = 4096;
constexpr SpaceId kSpace{1};
constexpr size_t kLookups = 100'000;

double now_ns() {
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// Every page has its own entry; `run` pages in a row share a stack, and the next run has another one.
events::PageTableRuns table(size_t pages, uint32_t run) {
  std::mt19937 random(7);  // NOLINT(*-msc51-cpp): the same input in each run
  events::PageTableRuns entries{.space = kSpace, .restated = true, .as_of_tick = 2'000'000, .runs = {}};
  entries.runs.reserve(pages / run);
  for (size_t page = 0; page < pages; page += run) {
    entries.runs.push_back({.page = kFirstPage + page,
                            .count = run,
                            .stack = StackId{1 + static_cast<uint32_t>(random() % kStacks)},
                            .tick = 1'000'000 + page / 64,
                            .flags = events::kFaultWrite});
  }
  return entries;
}

events::PageScan scan(uint64_t number) {
  events::PageScan pass;
  pass.space = kSpace;
  pass.scan = number;
  pass.start = number * 10'000'000'000;
  pass.method = "PAGEMAP_SCAN";
  pass.runs.push_back({.page = kFirstPage, .count = kPages, .flags = 0});
  return pass;
}

void reconcile(std::FILE* rows, const char* name, uint32_t run) {
  const auto bytes = [](PageNumber page) { return page << kPageShift; };
  events::Vma heap;
  heap.range = {bytes(kFirstPage), bytes(kFirstPage + kPages)};
  heap.read = heap.write = true;
  events::SpaceStart start;
  start.space = kSpace;
  start.tgid = 1;
  timeline::Timeline model;
  model.on_event({.time = 1, .payload = start});
  model.on_event({.time = 2, .payload = events::VmaList{.space = kSpace, .vmas = {heap}}});
  for (uint32_t stack = 1; stack <= kStacks; ++stack) {
    model.on_event(
        {.time = 3,
         .payload = events::Stack{.id = StackId{stack}, .space = kSpace, .frames = {0x401000 + stack}}});
  }
  const events::Event entries{.time = 4, .payload = table(kPages, run)};
  const events::Event first{.time = 10'000'000'000, .payload = scan(1)};
  const events::Event second{.time = 20'000'000'000, .payload = scan(2)};
  const auto timed = [&](const char* step, const events::Event& event) {
    const double before = now_ns();
    model.on_event(event);
    fmt::print(rows, "{}: {},ns/page,{:.3f}\n", name, step, (now_ns() - before) / kPages);
  };
  timed("table entries taken in", entries);
  timed("first scan reconciled", first);
  timed("further scan reconciled", second);
  const timeline::AddressSpace* space = model.space(kSpace);
  const uint64_t resident = space->last_scan() != nullptr ? space->last_scan()->resident_pages : 0;
  if (resident != kPages)
    fmt::print(stderr, "bench_model: {} pages of {} came out resident\n", resident, kPages);
  fmt::print(rows, "{}: memory of the model,bytes/page,{:.3f}\n", name,
             static_cast<double>(space->memory_bytes()) / kPages);
}

Status write_runs(std::FILE* rows, const char* name, uint32_t run) {
  Fd memory(memfd_create("bench", MFD_CLOEXEC));
  auto writer = trace::Writer::create(std::move(memory), {});
  if (!writer) return std::move(writer).error();
  constexpr size_t kRuns = size_t{1} << 20;
  const events::Event entries{.time = 4, .payload = table(kRuns * run, run)};
  const uint64_t before = (*writer)->totals().bytes;
  const double start = now_ns();
  (*writer)->on_event(entries);
  (*writer)->flush();
  const double took = now_ns() - start;
  if ((*writer)->failure()) return *(*writer)->failure();
  fmt::print(rows, "{},ns/run,{:.3f}\n{},bytes/run,{:.3f}\n", name, took / kRuns, name,
             static_cast<double>((*writer)->totals().bytes - before) / kRuns);
  return (*writer)->finish("stopped");
}

Status lookups(std::FILE* rows, const char* name, const std::string& path) {
  auto bytes = symbols::FileBytes::open(Fd(open(path.c_str(), O_RDONLY | O_CLOEXEC)), uint64_t{4} << 30);
  if (!bytes) return std::move(bytes).error().with(name);
  const double start = now_ns();
  auto binary = symbols::Binary::open(std::move(*bytes));
  if (!binary) return std::move(binary).error().with(name);
  const auto& elf = (*binary)->elf();
  const auto* code = elf.section(".text");
  if (code == nullptr) return Error(ErrorCode::kBadInput, "no .text").with(name);
  (*binary)->lookup(code->vaddr + code->bytes / 2, true);
  fmt::print(rows, "{}: opened and first address,ms,{:.3f}\n", name, (now_ns() - start) / 1e6);
  std::mt19937_64 random(7);  // NOLINT(*-msc51-cpp)
  size_t named = 0;
  const double lookups_start = now_ns();
  for (size_t i = 0; i < kLookups; ++i)
    named += !(*binary)->lookup(code->vaddr + random() % code->bytes, true).empty();
  fmt::print(rows, "{}: one address of any function,ns,{:.1f}\n{}: addresses with a name,share,{:.4f}\n",
             name, (now_ns() - lookups_start) / kLookups, name, static_cast<double>(named) / kLookups);
  return {};
}

Status measure(std::FILE* rows, const std::string& go_program, int repetitions) {
  for (int repetition = 0; repetition < repetitions; ++repetition) {
    reconcile(rows, "reconcile 4 M pages in runs of 64", 64);
    reconcile(rows, "reconcile 4 M pages, each with another stack", 1);
    for (const auto& [name, run] :
         {std::pair{"write runs of 64 pages", 64U}, {"write runs of one page", 1U}}) {
      if (Status done = write_runs(rows, name, run); !done) return done;
    }
    if (Status done = lookups(rows, "symbols of a Go program", go_program); !done) return done;
    if (Status done = lookups(rows, "symbols of a C++ program", "/proc/self/exe"); !done) return done;
    std::fflush(rows);
    fmt::print(stderr, "\rmodel: {} of {}", repetition + 1, repetitions);
  }
  fmt::print(stderr, "\n");
  return {};
}

}  // namespace
}  // namespace memwhy::bench

int main(int argc, char** argv) {
  std::string rows_path, go_program;
  int repetitions = 20;
  CLI::App app("The per-page and per-event paths of userspace: rows for report.py");
  app.add_option("--rows", rows_path, "CSV to write")->required();
  app.add_option("--go", go_program, "a Go program whose symbols are looked up")->required();
  app.add_option("--repetitions", repetitions)->check(CLI::Range(1, 1000));
  CLI11_PARSE(app, argc, argv);
  std::FILE* rows = std::fopen(rows_path.c_str(), "we");
  if (rows == nullptr) return memwhy::exit_status(memwhy::ErrorCode::kOutput);
  fmt::print(rows, "name,unit,value\n");
  const memwhy::Status done = memwhy::bench::measure(rows, go_program, repetitions);
  std::fclose(rows);
  if (done) return 0;
  fmt::print(stderr, "bench_model: {}\n", done.error().message());
  return memwhy::exit_status(done.error().code());
}
