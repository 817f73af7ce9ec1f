// SPDX-License-Identifier: Apache-2.0
#include "goruntime/open_program.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "goruntime/probe_sites.h"
#include "goruntime/program_file.h"
#include "symbols/binary_bytes.h"

namespace memwhy::goruntime {
namespace {

constexpr uint64_t kCachedBytes = 16 << 20;  // of the program's file
constexpr const char* kSampler = "runtime.profilealloc";
// Up to Go 1.24, and later.
constexpr std::array kFinalizerEntries = {"runtime.runfinq", "runtime.runFinalizers"};

// How far the program was moved from its link-time addresses; nullopt: it is not mapped.
std::optional<uint64_t> bias_of(const std::vector<symbols::Segment>& segments, const symbols::FileKey& file,
                                const std::vector<events::Vma>& vmas) {
  for (const events::Vma& vma : vmas) {
    if (vma.inode != file.inode || vma.device != file.device) continue;
    if (const std::optional<uint64_t> vaddr = symbols::vaddr_of(segments, vma.offset))
      return vma.range.start - *vaddr;
  }
  return std::nullopt;
}

struct FoundModule {
  symbols::ProcessFile file;
  symbols::OpenedBinary opened;
  std::vector<std::string> others;
};

// The executable; else libraries, in order of their mappings. A Go program's plugins have no runtime of their own.
std::optional<FoundModule> find_module(symbols::Binaries& binaries, Pid tgid,
                                       const std::vector<events::Vma>& vmas, FilesWithoutGo& without) {
  const auto is_known = [&](const events::Vma& vma) {
    return vma.inode == 0 || !vma.exec || without.contains({vma.device, vma.inode});
  };
  if (!without.empty() && std::ranges::all_of(vmas, is_known)) return std::nullopt;
  Result<symbols::OpenedBinary> executable = binaries.open_executable(tgid);
  if (!executable) return std::nullopt;
  if (executable->facts.go) return FoundModule{{tgid}, *std::move(executable), {}};
  without.insert({executable->key.device, executable->key.inode});
  std::optional<FoundModule> found;
  std::set<std::pair<uint64_t, uint64_t>> seen;
  for (const events::Vma& vma : vmas) {
    const std::pair file(vma.device, vma.inode);
    if (is_known(vma) || !seen.insert(file).second) continue;
    Result<symbols::OpenedBinary> opened = binaries.open_mapping(tgid, vma);
    const bool go = opened && opened->facts.go;
    if (!go)
      without.insert(file);
    else if (found)
      found->others.push_back(opened->path);
    else
      found = FoundModule{{tgid, vma}, *std::move(opened), {}};
  }
  return found;
}

Error unreadable(std::string_view why) {
  return {ErrorCode::kAbsent, fmt::format("{}; showing the system's view only", why)};
}

}  // namespace

Result<std::optional<OpenedProgram>> open_program(const ProgramFiles& files, Pid tgid,
                                                  const std::vector<events::Vma>& vmas,
                                                  FilesWithoutGo& without) {
  std::optional<OpenedProgram> out;
  std::optional<FoundModule> found = find_module(files.binaries, tgid, vmas, without);
  if (!found) return out;
  const symbols::OpenedBinary* const opened = &found->opened;
  symbols::ProgramQuestion question = probe_question();
  const size_t first_finalizer = question.functions.size();
  question.functions.insert(question.functions.end(), kFinalizerEntries.begin(), kFinalizerEntries.end());
  question.functions.emplace_back(kSampler);
  // The linker leaves these out of a program that can't read its own profile; then the runtime does not sample.
  question.prefixes = {"runtime.memProfileInternal", "runtime.MemProfile"};
  Result<symbols::ProgramFacts> facts = files.binaries.program(opened->handle, question);
  if (!facts) return unreadable("its file could not be read: " + facts.error().message());
  if (!facts->go_table) return unreadable("its table of functions was not found in its file");
  const std::optional<uint64_t> bias = bias_of(facts->segments, opened->key, vmas);
  if (!bias) return unreadable("its file is not among its mappings");

  out.emplace();
  out->file = found->file;
  out->path = opened->path;
  out->others = std::move(found->others);
  GoProgram& program = out->program;
  program.version = facts->go_version;
  program.image.pclntab = facts->go_table->vaddr + *bias;
  program.image.names_offset = facts->go_table->names_offset;
  for (const symbols::Segment& segment : facts->segments)
    if (segment.write)
      program.image.writable.push_back({segment.vaddr + *bias, segment.vaddr + *bias + segment.memory_bytes});
  program.image.file = std::make_shared<ProgramFile>(
      std::make_unique<symbols::BlockCache>(
          std::make_unique<symbols::BinaryBytes>(files.binaries, found->file, *opened), kCachedBytes),
      facts->segments, *bias);
  program.own_layout = [layout_of = files.go_layout, handle = opened->handle](int minor) {
    return layout_of(handle, minor);
  };
  const auto ask = [&binaries = files.binaries, file = found->file, bias = *bias, opened = *opened](
                       symbols::ProgramQuestion about) -> std::optional<symbols::ProgramFacts> {
    for (uint64_t& address : about.to_name) address = address < bias ? 0 : address - bias;
    Result<symbols::ProgramFacts> answer = binaries.program(opened.handle, about);
    if (!answer && answer.error().code() == ErrorCode::kAbsent) {  // it was closed in between
      const Result<symbols::OpenedBinary> again = binaries.open_file(file);
      if (!again || again->key != opened.key) return std::nullopt;
      answer = binaries.program(again->handle, about);
    }
    if (!answer) return std::nullopt;
    for (AddressRange& range : answer->variables) range = {range.start + bias, range.end + bias};
    return *std::move(answer);
  };
  program.variables = [ask] {
    symbols::ProgramQuestion about;
    about.variables = true;
    std::optional<symbols::ProgramFacts> answer = ask(std::move(about));
    return answer ? std::move(answer->variables) : std::vector<AddressRange>();
  };
  program.variable_names = [ask](const std::vector<uint64_t>& addresses) {
    symbols::ProgramQuestion about;
    about.to_name = addresses;
    std::optional<symbols::ProgramFacts> answer = ask(std::move(about));
    std::vector<GoProgram::VariableName> names;
    for (size_t i = 0; answer && i < answer->named.size(); ++i)
      names.push_back({std::move(answer->named[i]), std::move(answer->users[i])});
    return names;
  };
  program.profiling_linked = facts->linked[0] || facts->linked[1];
  const std::optional<symbols::ProgramFunction>& sampler = facts->functions.back();
  if (sampler) program.sampler = {sampler->range.start + *bias, sampler->range.end + *bias};
  for (size_t i = 0; i < kFinalizerEntries.size(); ++i)
    if (const auto& entry = facts->functions[first_finalizer + i])
      program.finalizer_entry = entry->range.start + *bias;
  out->facts = *std::move(facts);
  out->bias = *bias;
  return out;
}

}  // namespace memwhy::goruntime
