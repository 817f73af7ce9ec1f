// SPDX-License-Identifier: Apache-2.0
#include "app/allocation_plan.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "allocators/glibc_find.h"
#include "app/go_probe_plan.h"
#include "base/machine.h"
#include "base/text.h"

namespace memwhy::app {
namespace {

using Bytes = events::AllocationSite::Bytes;

struct Probed {
  const char* name;
  Bytes bytes;
};
constexpr std::array<Probed, 6> kProbed = {{{"malloc", Bytes::kFirst},
                                            {"calloc", Bytes::kFirstTimesSecond},
                                            {"realloc", Bytes::kSecond},
                                            {"memalign", Bytes::kSecond},
                                            {"aligned_alloc", Bytes::kSecond},
                                            {"posix_memalign", Bytes::kThird}}};
constexpr uint32_t kCodeBytes = 8;
constexpr size_t kMostFiles = 128;

symbols::ProgramQuestion question() {
  symbols::ProgramQuestion asked;
  for (const Probed& each : kProbed) asked.functions.emplace_back(each.name);
  asked.in_symbols = true;
  asked.code_bytes = kCodeBytes;
  return asked;
}

// The loader has a malloc of its own, for the time before libc is there.
bool is_loader(std::string_view path) {
  const std::string_view name = base_name(path);
  return (name.starts_with("ld-linux") || name.starts_with("ld-2.")) && !name.starts_with("ld-musl");
}

// Mappings of code, one of each file: that of the program first, then libraries, libc last.
std::vector<const events::Vma*> code_files(const std::vector<events::Vma>& vmas) {
  std::vector<const events::Vma*> files;
  for (const events::Vma& vma : vmas) {
    if (!vma.exec || vma.inode == 0 || vma.shared || is_loader(vma.name)) continue;
    const bool known = std::any_of(files.begin(), files.end(), [&](const events::Vma* each) {
      return each->inode == vma.inode && each->device == vma.device;
    });
    if (!known) files.push_back(&vma);
    if (files.size() == kMostFiles) break;
  }
  std::stable_partition(files.begin(), files.end(),
                        [](const events::Vma* each) { return !allocators::is_libc(each->name); });
  return files;
}

struct Found {
  const events::Vma* code = nullptr;
  symbols::FileKey key;
  symbols::ProgramFacts facts;
};

std::optional<Found> find_malloc(symbols::Binaries& binaries, Pid tgid,
                                 const std::vector<events::Vma>& vmas) {
  for (const events::Vma* each : code_files(vmas)) {
    const Result<symbols::OpenedBinary> opened = binaries.open_mapping(tgid, *each);
    if (!opened || opened->handle == symbols::BinaryHandle::kNone) continue;
    Result<symbols::ProgramFacts> facts = binaries.program(opened->handle, question());
    if (facts && facts->functions.size() == kProbed.size() && facts->functions.front())
      return Found{each, opened->key, *std::move(facts)};
  }
  return std::nullopt;
}

// The site in one function, or why there is none.
Result<events::AllocationSite> site_of(const Probed& probed, const symbols::ProgramFunction& function,
                                       const events::Vma& code, remote::RemoteMemory& memory) {
  const std::optional<uint32_t> at = entry_site(function.code);
  if (!at)
    return Error(ErrorCode::kAbsent,
                 fmt::format("{} is not probed: its first instruction would be single-stepped", probed.name));
  const std::optional<uint64_t> offset = function.file_offset;
  if (!offset || *offset < code.offset || *offset - code.offset >= code.range.bytes())
    return Error(ErrorCode::kAbsent, fmt::format("{} is not probed: its code is not mapped", probed.name));
  const uint64_t address = code.range.start + (*offset - code.offset);
  std::vector<uint8_t> now(function.code.size());
  if (!memory.read_code(address, std::as_writable_bytes(std::span(now))) || now != function.code)
    return Error(ErrorCode::kAbsent,
                 fmt::format("{} is not probed: its code in memory is not that of the file (another tracer's "
                             "breakpoint, or a patch)",
                             probed.name));
  return events::AllocationSite{probed.name, *offset + *at, address + *at, function.code[*at], probed.bytes};
}

}  // namespace

std::optional<uint32_t> entry_site(std::span<const uint8_t> code) {
  constexpr std::array<uint8_t, 4> kEndbr = {0xf3, 0x0f, 0x1e, 0xfa};
  const bool marked = code.size() > kEndbr.size() && std::equal(kEndbr.begin(), kEndbr.end(), code.begin());
  const uint32_t at = marked ? kEndbr.size() : 0;
  const auto pushes = [](uint8_t byte) { return byte >= 0x50 && byte <= 0x57; };
  if (code.size() < at + 2) return std::nullopt;
  return pushes(code[at]) || (code[at] == 0x41 && pushes(code[at + 1])) ? std::optional(at) : std::nullopt;
}

events::AllocationProbePlan plan_allocation_probes(symbols::Binaries& binaries,
                                                   std::shared_ptr<remote::RemoteMemory> memory, Pid tgid,
                                                   const std::vector<events::Vma>& vmas) {
  events::AllocationProbePlan plan;
  plan.tgid = tgid;
  const auto refused = [&](std::string_view why) {
    plan.sites.clear();
    plan.not_probed.push_back(fmt::format("Who calls malloc in pid {} is not known: {}.", tgid, why));
    return std::move(plan);
  };
  if (tgid == 1) return refused("nothing is attached to pid 1");
  if (maps_remote_files(binaries, tgid, vmas))
    return refused("it has mapped a file of a FUSE or network file system");
  const Result<symbols::ProbedFile> program = binaries.file_to_probe({tgid});
  if (!program || (program->mode & (S_ISUID | S_ISGID)) != 0)
    return refused(program ? "it is a setuid or setgid program" : "its program can't be looked at");
  const std::optional<Found> found = find_malloc(binaries, tgid, vmas);
  if (!found) return refused("no file of it has a symbol named malloc");
  plan.name = base_name(found->code->name);
  if (found->facts.machine != machine::kName) return refused("it is a program for another machine");
  Result<symbols::ProbedFile> file = binaries.file_to_probe({tgid, *found->code});
  if (!file || !(file->key == found->key)) return refused(plan.name + " can't be looked at");
  plan.file = std::move(file->fd);
  for (size_t i = 0; i < kProbed.size(); ++i) {
    const std::optional<symbols::ProgramFunction>& function = found->facts.functions[i];
    if (!function) continue;
    Result<events::AllocationSite> site = site_of(kProbed[i], *function, *found->code, *memory);
    const bool known = site && std::any_of(plan.sites.begin(), plan.sites.end(), [&](const auto& each) {
                         return each.offset == site->offset;  // two names of one function
                       });
    if (site && !known) plan.sites.push_back(*std::move(site));
    if (!site) plan.not_probed.push_back(fmt::format("{} (pid {}).", site.error().message(), tgid));
  }
  ask_through(plan, std::move(memory));
  return plan;
}

}  // namespace memwhy::app
