// SPDX-License-Identifier: Apache-2.0
#include "anonymize/anonymizer.h"

#include <variant>

#include "base/text.h"
#include "events/visit.h"
#include "explain/mapping.h"

namespace memwhy::anonymize {
namespace {

constexpr size_t kMostBinaries = size_t{1} << 16;  // a damaged file may name any number

}  // namespace

void Anonymizer::change(events::RecordingInfo& e) {
  e.host = names_.word(e.host);
  for (std::string& what : e.what) {
    const size_t space = what.find(' ');
    const std::string kind = what.substr(0, space),
                      name = space == std::string::npos ? "" : what.substr(space + 1);
    if (kind == "comm") what = kind + " " + names_.comm(name);
    if (kind == "cgroup") what = kind + " " + names_.cgroup(name);
    if (kind == "command") what = kind + " " + names_.path(name);
  }
}

void Anonymizer::change(events::HookReport& e) {
  for (std::string& sentence : e.not_seen) sentence = names_.sentence(sentence);
  for (std::string& sentence : e.notices) sentence = names_.sentence(sentence);
}

void Anonymizer::change(events::BinaryInfo& e) {
  const bool known = Names::is_public_file(e.path);
  if (binaries_.size() < kMostBinaries)
    binaries_[e.id] = {std::string(base_name(explain::without_deleted(e.path))), e.go.has_value()};
  e.path = names_.path(e.path);
  if (!known && !e.build_id.empty()) e.build_id = names_.digits(e.build_id);
  e.problem = names_.sentence(e.problem);
  if (e.go)
    for (std::string& module : e.go->modules) module = names_.go_module(module);
  if (!known)
    for (events::ProgramVariable& variable : e.variables) variable.name = names_.variable(variable.name);
}

void Anonymizer::change(events::SymbolInfo& e) {
  const auto of = binaries_.find(e.binary);
  const Binary binary = of == binaries_.end() ? Binary{} : of->second;
  for (events::SourceFrame& frame : e.frames) {
    const bool stays = Names::is_public_function(frame.function, frame.file, binary.module, binary.go);
    const std::string name = names_.function(frame.function, frame.file, binary.module, binary.go);
    frame.file =
        names_.source(frame.file, stays && frame.function != "main" && frame.function != "main.main");
    frame.function = name;
  }
}

void Anonymizer::change(events::SpaceStart& e) {
  e.comm = names_.comm(e.comm);
  e.exe = names_.path(e.exe);
  e.cgroup = names_.cgroup(e.cgroup);
}

void Anonymizer::change(events::VmaList& e) {
  for (events::Vma& vma : e.vmas) vma.name = names_.mapping(vma.name);
}

void Anonymizer::change(events::GoGoroutines& e) {
  if (!e.held) return;
  for (events::GoHolder& holder : e.held->holders) {
    holder.name = names_.variable(holder.name);
    std::string used_by;
    for (size_t at = 0; at < holder.used_by.size();) {  // "main.scan, main.show"
      const size_t end = std::min(holder.used_by.find(", ", at), holder.used_by.size());
      used_by += (at == 0 ? "" : ", ") +
                 names_.function(std::string_view(holder.used_by).substr(at, end - at), "", "", true);
      at = end + 2;
    }
    holder.used_by = std::move(used_by);
  }
}

void Anonymizer::change(events::RuntimePages& e) { e.problem = names_.sentence(e.problem); }
void Anonymizer::change(events::AllocatorHeap& e) { e.problem = names_.sentence(e.problem); }

void Anonymizer::change(events::CgroupMemory& e) { e.path = names_.cgroup(e.path); }

void Anonymizer::on_event(const events::Event& event) {
  using namespace events;
  Event changed = event;
  std::visit(
      Overloaded{
          [&](RecordingInfo& e) { change(e); }, [&](HookReport& e) { change(e); },
          [&](BinaryInfo& e) { change(e); }, [&](SymbolInfo& e) { change(e); },
          [&](SpaceStart& e) { change(e); }, [&](VmaList& e) { change(e); },
          [&](GoGoroutines& e) { change(e); }, [&](RuntimePages& e) { change(e); },
          [&](AllocatorHeap& e) { change(e); }, [&](CgroupMemory& e) { change(e); },
          // Numbers, and words of our own.
          LeaveAlone<ClockAnchor, Coverage, RecordingEnd, SpaceEnd, ProcessExit, OomVictim, ThreadList,
                     Counters, PageScan, PageTableRuns, Stack, VmaMapped, VmaUnmapped, VmaAdvised, VmaMoved,
                     HeapGrown, Loss, GoStatistics, GoReading, GoProfile, GoCall, AllocationCall>{}},
      changed.payload);
  to_.on_event(changed);
}

}  // namespace memwhy::anonymize
