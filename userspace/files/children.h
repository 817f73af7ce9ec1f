// SPDX-License-Identifier: Apache-2.0
// Children: symbols::Binaries by two children, so that the process with the BPF programs and the recording never opens or
// parses a file of a target.
//
// What it is: starts the pair, sends requests, waits up to a deadline, and validates each answer as if an enemy had written it.
// A child that dies, hangs or sends nonsense is killed, a fresh pair takes over, and the request is repeated once if the child
// had died; only names are lost, which take_notices() reports. What it is not: thread-safe, a cache (Symbolizer), a parser
// (symbols/, in the child).
//
//   t 0.0  open libc.so.6 of 4711     opener 2.1 ms, parser 0.4 ms           -> handle 1·3   (pair 1, its third)
//   t 0.1  open /mnt/fuse/hang.so     no answer in 1 s: both killed. The opener may never die; it is not waited for
//   t 1.1  names of handle 1·3        "not open any more", opened again by pair 2 -> handle 2·1
//   t 1.2  open /mnt/fuse/other.so    refused at once: its device was silent
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "files/channel.h"
#include "files/memory_reader.h"
#include "files/messages.h"
#include "files/spawn.h"
#include "symbols/binaries.h"

namespace memwhy::files {

struct ChildrenOptions {
  std::string program = "/proc/self/exe";  // that can run run_child()
  std::chrono::milliseconds to_open{2000};
  std::chrono::milliseconds to_parse{10'000};  // a file, or a question about all of it
  std::chrono::milliseconds to_look_up{
      10'000};  // the first one of a file reads its symbols and debug information
  std::chrono::milliseconds to_read_memory{1000};  // some pages that are there
  std::vector<std::string> debug_directories =
      {};  // where debug files of programs may lie, too (debug_files.h)
  // What more than a moment for each question may sum up to for one process; then nothing of it is opened any more.
  std::chrono::milliseconds lost_per_process{10'000};
};

class Children final : public symbols::Binaries {
 public:
  // Starts the first pair, and hears a word of each. kEnvironment: why there can be none.
  static Result<std::unique_ptr<Children>> start(ChildrenOptions options = {});
  ~Children() override;
  Children(const Children&) = delete;
  Children& operator=(const Children&) = delete;

  Result<symbols::OpenedBinary> open_mapping(Pid tgid, const events::Vma& vma) override;
  Result<symbols::OpenedBinary> open_executable(Pid tgid) override;
  Result<symbols::ProbedFile> file_to_probe(const symbols::ProcessFile& file) override;
  Result<uint64_t> file_system(Pid tgid, const events::Vma& mapping) override;
  Result<std::vector<symbols::SourceFrames>> look_up(symbols::BinaryHandle binary,
                                                     std::span<const symbols::CodeOffset> at) override;
  Result<std::vector<symbols::SourceFrames>> code_names(Pid tgid,
                                                        std::span<const symbols::CodeOffset> at) override;
  Result<symbols::ProgramFacts> program(symbols::BinaryHandle binary,
                                        const symbols::ProgramQuestion& question) override;
  Result<std::vector<symbols::FunctionRules>> frame_rules(symbols::BinaryHandle binary,
                                                          std::span<const symbols::CodeOffset> at) override;
  Result<symbols::OpenedBinary> vdso() override;
  Result<std::vector<std::byte>> read(symbols::BinaryHandle binary, uint64_t offset, size_t bytes) override;
  // The layout of go1.`minor`, as the debug information of the program has it (goruntime/dwarf_layout.h).
  Result<GoLayout> go_layout(symbols::BinaryHandle binary, int minor);

  // A debug file of this machine, as a binary of its own, and the frames at link-time addresses of instructions in it. Its build
  // id identifies its program. Errors as of open_executable() and look_up().
  Result<symbols::OpenedBinary> open_debug_file(const std::string& path);
  Result<std::vector<symbols::SourceFrames>> look_up_addresses(symbols::BinaryHandle binary,
                                                               std::span<const uint64_t> vaddrs);

  // The memory of a process, read by a child of its own. `process`: a descriptor of its directory in a proc file system.
  Result<std::unique_ptr<remote::RemoteMemory>> open_memory(const Fd& process, Pid tgid,
                                                            MemoryReader::Shared* shared = nullptr) {
    return memory_->open(process, tgid, shared);
  }
  // CPU time of the processes that read memory.
  uint64_t memory_cpu_ns() const { return memory_->cpu_ns(); }

  std::vector<std::string> take_notices() override;
  bool has_notices() const override { return !notices_.empty() || memory_->has_notices(); }

  // For tests.
  pid_t opener() const { return opener_.pid; }
  pid_t parser() const { return parser_.pid; }
  pid_t memory_reader() const { return memory_->child(); }
  uint64_t pairs() const { return pair_; }

 private:
  using Duration = std::chrono::milliseconds;
  // The target on behalf of which a request is made.
  struct Subject {
    Pid tgid = 0;
    uint64_t device = 0;  // 0: unknown
    std::optional<symbols::FileKey> file;
  };
  struct Opened {
    Pid tgid = 0;
    symbols::FileKey file;
  };

  explicit Children(ChildrenOptions options);
  Status start_pair();
  void end_pair();

  // The value's bytes. kAbsent: the child died, and there is a new pair or none.
  Result<Message> ask(const Child& child, const Request& request, Duration limit, const Subject& about,
                      Along along = Along::kNothing);
  Result<symbols::OpenedBinary> open(const Request& request);
  Result<symbols::OpenedBinary> open_once(const Request& request);
  void add_symbols(const symbols::OpenedBinary& opened, const Subject& about);
  Result<symbols::OpenedBinary> numbered(symbols::OpenedBinary opened, const Subject& about);
  Result<Message> ask_parser(symbols::BinaryHandle binary, Request request, Duration limit);
  template <typename T>
  Result<T> parsed(symbols::BinaryHandle binary, const Request& request, Duration limit) {
    return value<T>(ask_parser(binary, request, limit), subject(binary));
  }
  Result<Message> ask_opener(const Request& request, Along along);
  template <typename T>
  Result<T> value(const Result<Message>& message, const Subject& about);
  Error strange(const Subject& about);
  Subject subject(symbols::BinaryHandle binary) const;
  Status may_open(const Subject& about) const;
  void account(const Subject& about, Duration took);
  void strike(const Subject& about, int strikes);
  void notice(std::string sentence);

  ChildrenOptions options_;
  std::shared_ptr<MemoryReader> memory_;
  Child opener_, parser_;
  uint64_t pair_ = 0;  // number of the pair; in the upper half of its handles
  Dying dying_;
  std::unordered_map<Pid, Duration> lost_;
  std::unordered_map<uint64_t, std::chrono::steady_clock::time_point> silent_;  // devices, and until when
  std::unordered_map<symbols::FileKey, int, symbols::FileKeyHash> strikes_;
  std::unordered_map<symbols::BinaryHandle, Opened> opened_;  // of this pair
  std::vector<std::string> notices_;
  size_t more_notices_ = 0;
};

}  // namespace memwhy::files
