// SPDX-License-Identifier: Apache-2.0
// Makes seeds out of real things; README.md says which were made of what.
//   fuzz_seeds elf FILE OUT           an ELF file without what no reader needs (support/sparse.h)
//   fuzz_seeds snapshot PROGRAM OUT   the Go runtime's memory of tests/fuzz/go_target (go_snapshot.h)
//   fuzz_seeds trace SCRIPT OUT       a recording of a script of events (tests/support/event_script.h)
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "fuzz/support/check.h"
#include "fuzz/support/sparse.h"
#include "go_snapshot.h"
#include "goruntime/probe_sites.h"
#include "goruntime/program_file.h"
#include "procfs/process.h"
#include "support/event_script.h"
#include "symbols/binary.h"
#include "symbols/program_facts.h"
#include "trace/writer.h"

namespace memwhy::fuzz {
namespace {

constexpr uint64_t kPageBytes = 4096;
constexpr size_t kLine = 32;  // the least that is taken out of a file
constexpr size_t kLookUps = 12;

std::string file_bytes(const std::string& name) {
  std::ifstream in(name, std::ios::binary);
  check(in.is_open(), "the file can be opened");
  return {(std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>()};
}
void write_file(const std::string& name, const std::string& bytes) {
  std::ofstream(name, std::ios::binary) << bytes;
  std::printf("%s: %zu bytes\n", name.c_str(), bytes.size());
}

// ---- an ELF file without what nobody looks at ----

class StringBytes final : public symbols::ByteSource {
 public:
  explicit StringBytes(const std::string& bytes) : bytes_(bytes) {}
  uint64_t size() const override { return bytes_.size(); }
  Status read_at(uint64_t offset, std::span<std::byte> out) override {
    if (offset > bytes_.size() || out.size() > bytes_.size() - offset)
      return Error(ErrorCode::kBadInput, "not inside the file");
    std::copy_n(reinterpret_cast<const std::byte*>(bytes_.data()) + offset, out.size(), out.data());
    return {};
  }

 private:
  const std::string& bytes_;
};

std::unique_ptr<symbols::Binary> open_binary(const std::string& bytes) {
  auto opened = symbols::Binary::open(std::make_unique<StringBytes>(bytes));
  return opened ? std::move(*opened) : nullptr;
}

std::string names_at(symbols::Binary& binary, uint64_t address) {
  std::string out;
  for (const events::SourceFrame& frame : binary.lookup(address, false))
    out += frame.function + " " + frame.file + ":" + std::to_string(frame.line) + "\n";
  return out;
}

// Everything that is learnt of a file; "" when it is refused.
std::string learnt(const std::string& bytes, const std::vector<uint64_t>& addresses) {
  const std::unique_ptr<symbols::Binary> binary = open_binary(bytes);
  if (!binary) return "";
  const symbols::BinaryFacts& facts = binary->facts();
  std::string out = facts.machine + facts.build_id + facts.go_build_id;
  for (const symbols::Section& section : binary->elf().sections()) out += section.name;
  for (const uint64_t address : addresses) out += names_at(*binary, address);
  if (!facts.go) return out;
  out += facts.go->version + facts.go->default_godebug + (facts.go->race ? "r" : "-") +
         (facts.go->cgo ? "c" : "-");
  out += binary->has_go_function("runtime.memProfileInternal") ? "p" : "-";
  if (const auto table = binary->go_table()) out += std::to_string(table->vaddr);
  const symbols::ProgramFacts program = symbols::describe_program(*binary, goruntime::probe_question());
  for (const std::optional<symbols::ProgramFunction>& function : program.functions)
    if (function) out += std::string(function->code.begin(), function->code.end());
  return out;
}

// The first functions with inlined calls in them, and some others.
std::vector<uint64_t> addresses_of(const std::string& bytes) {
  const std::unique_ptr<symbols::Binary> binary = open_binary(bytes);
  check(binary != nullptr, "the file is one that can be read");
  std::vector<uint64_t> inlined, out;
  for (const symbols::Segment& segment : binary->elf().segments()) {
    if (!segment.exec) continue;
    for (uint64_t at = segment.vaddr; at < segment.vaddr + segment.file_bytes; at += 61) {
      const size_t frames = binary->lookup(at, false).size();
      if (frames > 2 && inlined.size() < kLookUps / 2) inlined.push_back(at);
      if (frames > 0 && (at - segment.vaddr) % 977 == 0 && out.size() < kLookUps / 2) out.push_back(at);
    }
  }
  out.insert(out.end(), inlined.begin(), inlined.end());
  return out;
}

// Takes [from, to) out where that makes no difference, else its halves.
void take_out(std::string& bytes, size_t from, size_t to, const std::vector<uint64_t>& addresses,
              const std::string& wanted) {
  const std::string was = bytes.substr(from, to - from);
  if (std::all_of(was.begin(), was.end(), [](char c) { return c == 0; })) return;
  std::fill(bytes.begin() + static_cast<ptrdiff_t>(from), bytes.begin() + static_cast<ptrdiff_t>(to), '\0');
  if (learnt(bytes, addresses) == wanted) return;
  bytes.replace(from, was.size(), was);
  if (to - from <= kLine) return;
  const size_t middle = from + std::max(kLine, (to - from) / 2 / kLine * kLine);
  take_out(bytes, from, middle, addresses, wanted);
  take_out(bytes, middle, to, addresses, wanted);
}

void make_elf(const std::string& from, const std::string& to) {
  std::string bytes = file_bytes(from);
  Sparse sparse;
  sparse.size = bytes.size();
  sparse.addresses = addresses_of(bytes);
  take_out(bytes, 0, bytes.size(), sparse.addresses, learnt(bytes, sparse.addresses));
  for (size_t at = 0; at < bytes.size(); at += kLine) {
    const std::string line = bytes.substr(at, kLine);
    if (std::all_of(line.begin(), line.end(), [](char c) { return c == 0; })) continue;
    if (!sparse.pieces.empty() && sparse.pieces.back().offset + sparse.pieces.back().bytes.size() == at) {
      sparse.pieces.back().bytes += line;
    } else {
      sparse.pieces.push_back({at, line});
    }
  }
  write_file(to, to_input(sparse));
}

// ---- the memory of a Go process ----

// Keeps the pages that are asked for.
class KeepingMemory final : public remote::RemoteMemory {
 public:
  KeepingMemory(std::unique_ptr<remote::RemoteMemory> memory, Pages& pages)
      : memory_(std::move(memory)), pages_(pages) {}
  Status read(uint64_t address, std::span<std::byte> into) override {
    keep(address, into.size());
    return memory_->read(address, into);
  }
  Status read_touched(uint64_t address, std::span<std::byte> into) override {
    keep(address, into.size());
    return memory_->read_touched(address, into);
  }
  Result<uint64_t> read_present(uint64_t address, std::span<std::byte> into) override {
    keep(address, into.size());
    return memory_->read_present(address, into);
  }

 private:
  void keep(uint64_t address, size_t bytes) {
    for (uint64_t page = address / kPageBytes; bytes > 0 && page <= (address + bytes - 1) / kPageBytes;
         ++page) {
      std::string content(kPageBytes, '\0');
      if (pages_.contains(page)) continue;
      const Result<uint64_t> there =
          memory_->read_present(page * kPageBytes, std::as_writable_bytes(std::span(content)));
      if (there && *there > 0) pages_[page] = content;
    }
  }
  std::unique_ptr<remote::RemoteMemory> memory_;
  Pages& pages_;
};

struct Child {
  pid_t pid = -1;
  ~Child() {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
};

// Stopped once it says that it is ready.
std::unique_ptr<Child> start(const std::string& program) {
  int out[2], in[2];
  check(::pipe2(out, O_CLOEXEC) == 0 && ::pipe2(in, O_CLOEXEC) == 0, "pipes");
  auto child = std::make_unique<Child>();
  child->pid = ::fork();
  if (child->pid == 0) {
    ::dup2(in[0], 0);
    ::dup2(out[1], 1);
    ::execl(program.c_str(), program.c_str(), static_cast<char*>(nullptr));
    ::_exit(127);
  }
  char line[6];
  check(::read(out[0], line, sizeof line) == sizeof line && std::memcmp(line, "ready\n", sizeof line) == 0,
        "the program says that it is ready");
  ::kill(child->pid, SIGSTOP);
  int status = 0;
  check(::waitpid(child->pid, &status, WUNTRACED) == child->pid && WIFSTOPPED(status), "it stops");
  return child;
}

// Linked at fixed addresses: no bias.
goruntime::GoProgram program_of(const std::string& path) {
  const std::string bytes = file_bytes(path);
  const std::unique_ptr<symbols::Binary> binary = open_binary(bytes);
  check(binary && binary->facts().go && binary->go_table(), "it is a Go program");
  goruntime::GoProgram out;
  out.version = binary->facts().go->version;
  out.image.pclntab = binary->go_table()->vaddr;
  out.image.names_offset = binary->go_table()->names_offset;
  for (const symbols::Segment& segment : binary->elf().segments())
    if (segment.write) out.image.writable.push_back({segment.vaddr, segment.vaddr + segment.memory_bytes});
  if (const auto sampler = binary->go_functions({"runtime.profilealloc"}).front()) out.sampler = *sampler;
  return out;
}

void make_snapshot(const std::string& path, const std::string& to) {
  GoSnapshot snapshot;
  snapshot.program = program_of(path);
  const std::string bytes = file_bytes(path);
  const std::unique_ptr<symbols::Binary> binary = open_binary(bytes);
  const std::unique_ptr<Child> child = start(path);
  const auto root = procfs::Root::open("/proc");
  auto process = procfs::Process::open(*root, child->pid);
  const auto vmas = process->vmas();
  const auto scan = process->scan(*vmas);
  snapshot.resident = scan->runs;
  auto memory = remote::ProcessMemory::open(process->directory());
  auto file = symbols::FileBytes::open(Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)), 1 << 30);
  goruntime::GoProgram program = snapshot.program;
  program.image.file = std::make_shared<KeepingMemory>(
      std::make_unique<goruntime::ProgramFile>(std::move(*file), binary->elf().segments(), 0), snapshot.file);
  goruntime::GoProcess go(std::make_unique<KeepingMemory>(
                              std::make_unique<remote::ProcessMemory>(std::move(*memory)), snapshot.memory),
                          std::move(program));
  const events::GoProfile profile = go.profile().value();
  const goruntime::HeapReading heap = go.heap(*scan);
  const auto goroutines = go.goroutines();
  check(events::trusted(heap.how.layout) && goroutines && go.statistics(), "all of it can be read");
  std::printf("%s: %zu pages of memory, %zu of the file, %zu buckets, %llu goroutines, %zu runs\n",
              snapshot.program.version.c_str(), snapshot.memory.size(), snapshot.file.size(),
              profile.buckets.size(), static_cast<unsigned long long>(goroutines->count),
              heap.pages.runs.size());
  write_file(to, to_bytes(snapshot));
}

void make_trace(const std::string& script, const std::string& to) {
  trace::WriterOptions options;
  options.path = to;
  options.uuid = std::array<uint8_t, 16>{1};
  auto writer =
      trace::Writer::create(Fd(::open(to.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)), options);
  check(writer.ok(), "the output can be written");
  memwhy::testing::play(file_bytes(script), **writer);
  check((*writer)->finish("stopped").ok(), "the recording can be closed");
  std::printf("%s: %zu bytes\n", to.c_str(), file_bytes(to).size());
}

}  // namespace
}  // namespace memwhy::fuzz

// Nothing is mutated here.
extern "C" size_t LLVMFuzzerMutate(uint8_t*, size_t size, size_t) { return size; }

int main(int argc, char** argv) {
  using namespace memwhy::fuzz;
  const std::string what = argc == 4 ? argv[1] : "";
  if (what == "elf") {
    make_elf(argv[2], argv[3]);
  } else if (what == "snapshot") {
    make_snapshot(argv[2], argv[3]);
  } else if (what == "trace") {
    make_trace(argv[2], argv[3]);
  } else {
    std::fprintf(stderr, "usage: fuzz_seeds elf|snapshot|trace FROM TO\n");
    return 2;
  }
  return 0;
}
