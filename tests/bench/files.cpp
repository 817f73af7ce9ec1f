// SPDX-License-Identifier: Apache-2.0
// bench_files: what it costs that files of targets are opened and parsed in children: a cold start of the pair, a file opened
// and parsed for the first time, and names of 1,000 addresses in one question, its first and once more, beside the same in
// this process. Medians, the two in turn; the ratio is the result. The files are those with code in this process.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <fstream>
#include <random>
#include <set>

#include "base/fd.h"
#include "files/child.h"
#include "files/children.h"
#include "symbols/local_binaries.h"

namespace memwhy::bench {
namespace {

constexpr size_t kAddresses = 1000;

double now_us() {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

struct Mapped {
  events::Vma vma;
  std::vector<symbols::CodeOffset> at;
};

// The executable mappings of files in this process, one of each file, with addresses in them.
std::vector<Mapped> mapped_files() {
  std::vector<Mapped> files;
  std::set<uint64_t> seen;
  std::mt19937_64 random(5);  // NOLINT(*-msc51-cpp): the same input in each run
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    unsigned long start = 0, end = 0, offset = 0, inode = 0;
    unsigned major = 0, minor = 0;
    char flags[8] = "";
    int name_at = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx %7s %lx %x:%x %lu %n", &start, &end, flags, &offset, &major,
                    &minor, &inode, &name_at) < 7)
      continue;
    if (flags[2] != 'x' || inode == 0 || !seen.insert(inode).second) continue;
    Mapped file;
    file.vma.range = {start, end};
    file.vma.offset = offset;
    file.vma.inode = inode;
    file.vma.device = makedev(major, minor);
    file.vma.name = line.substr(static_cast<size_t>(name_at));
    for (size_t i = 0; i < kAddresses; ++i)
      file.at.push_back({offset + random() % (end - start), i % 8 != 0});
    files.push_back(std::move(file));
  }
  return files;
}

struct Times {
  std::vector<double> open_us, first_us, names_us;
};

// All files opened and looked into once, by one who has seen none of them.
Status one_round(symbols::Binaries& binaries, const std::vector<Mapped>& files, Times& times) {
  for (const Mapped& file : files) {
    const double begun = now_us();
    const Result<symbols::OpenedBinary> opened = binaries.open_mapping(::getpid(), file.vma);
    if (!opened) return opened.error();
    times.open_us.push_back(now_us() - begun);
    // The first question reads the symbol table, and is what a recording asks: a name is asked for once. The second has
    // nothing but the names and their way.
    const double first_asked = now_us();
    if (auto first = binaries.look_up(opened->handle, file.at); !first) return first.error();
    times.first_us.push_back(now_us() - first_asked);
    const double asked = now_us();
    const auto found = binaries.look_up(opened->handle, file.at);
    if (!found) return found.error();
    times.names_us.push_back(now_us() - asked);
  }
  return {};
}

int measure(size_t rounds) {
  const std::vector<Mapped> files = mapped_files();
  std::vector<double> start_ms;
  Times children_times, local_times;
  for (size_t round = 0; round < rounds; ++round) {
    const double begun = now_us();
    auto children = files::Children::start();
    if (!children) {
      fmt::print(stderr, "{}\n", children.error().message());
      return 5;
    }
    start_ms.push_back((now_us() - begun) / 1000);
    symbols::LocalBinaries local(Fd(::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
    for (const auto& [binaries, times] :
         {std::pair<symbols::Binaries*, Times*>{children->get(), &children_times},
          std::pair<symbols::Binaries*, Times*>{&local, &local_times}}) {
      if (Status done = one_round(*binaries, files, *times); !done) {
        fmt::print(stderr, "{}\n", done.error().message());
        return 1;
      }
    }
  }
  fmt::print("{} rounds, {} files\n", rounds, files.size());
  fmt::print("{:<38} {:>10} {:>12} {:>8}\n", "median", "children", "in process", "ratio");
  fmt::print("{:<38} {:>10.2f}\n", "cold start of the pair, ms", median(start_ms));
  for (const auto& [name, theirs, ours] :
       {std::tuple{"open and parse a file, us", median(children_times.open_us), median(local_times.open_us)},
        std::tuple{"first 1,000 names of a file, us", median(children_times.first_us),
                   median(local_times.first_us)},
        std::tuple{"the same 1,000 again, us", median(children_times.names_us),
                   median(local_times.names_us)}})
    fmt::print("{:<38} {:>10.0f} {:>12.0f} {:>8.2f}\n", name, theirs, ours, theirs / ours);
  return 0;
}

}  // namespace
}  // namespace memwhy::bench

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (memwhy::files::is_child(words)) return memwhy::files::run_child(words);
  size_t rounds = 24;
  CLI::App program("what children cost that read files of targets");
  program.add_option("--rounds", rounds);
  CLI11_PARSE(program, argc, argv);
  return memwhy::bench::measure(rounds);
}
