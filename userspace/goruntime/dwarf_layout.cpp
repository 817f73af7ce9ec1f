// SPDX-License-Identifier: Apache-2.0
#include "goruntime/dwarf_layout.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>
#include <utility>

#include "goruntime/dwarf_unit.h"
#include "goruntime/geometry.h"
#include "goruntime/layout_fields.h"
#include "goruntime/words.h"
#include "symbols/byte_source.h"
#include "symbols/elf_file.h"
#include "symbols/elf_relocations.h"

namespace memwhy::goruntime {
namespace {

constexpr uint64_t kMostFileBytes = uint64_t{4} << 30;
constexpr uint64_t kMostReasonBytes = 64;

constexpr std::string_view kUnit = "runtime";
constexpr std::string_view kSpecialProfile = "runtime._KindSpecialProfile";
// Where marks of small objects are, since 1.26: 64 bytes of scans, then 64 of marks, at the end of a span.
constexpr std::string_view kInlineMarks = "runtime.spanInlineMarkBits";
constexpr int kInlineMarksMinor = 26;
constexpr std::string_view kWaitReasons = "runtime.waitReasonStrings";

// What no offset shows and the readers of this room assume: a release in which one of them differs has to be
// measured and read by a person.
struct Premise {
  std::string_view name;
  uint64_t value;
};
constexpr std::array kPremises = {
    Premise{"runtime._PageSize", kGoPageBytes},
    Premise{"runtime.heapArenaBytes", kArenaBytes},
    Premise{"runtime.pallocChunkPages", kChunkPagesGo},
    Premise{"runtime.pallocChunksL2Bits", kChunkL2Bits},
    Premise{"runtime.summaryLevels", kSummaryLevels},
    Premise{"runtime.summaryLevelBits", 3},
    Premise{"runtime.numSpanClasses", kSpanClasses},
    Premise{"runtime.workbufAlloc", 32 << 10},
    Premise{"runtime.mSpanInUse", 1},
    Premise{"runtime.mSpanManual", 2},
    Premise{"runtime.memProfile", 1},
    Premise{"runtime._Gwaiting", 4},
    Premise{"runtime._Gdead", 6},
    Premise{"runtime._Gscan", 0x1000},
};

const Layout& nearest(int minor) {
  const std::span<const Layout* const> all = all_layouts();
  return **std::min_element(all.begin(), all.end(), [minor](const Layout* a, const Layout* b) {
    return std::abs(a->minor - minor) < std::abs(b->minor - minor);
  });
}

Status fill_fields(const DwarfUnit& unit, Layout& out) {
  Layout measured = nearest(out.minor);
  for (const LayoutStruct& s : layout_structs()) {
    if (!unit.has_struct(s.go_type)) return debug_information(fmt::format("has no type {}", s.go_type));
    const std::optional<uint64_t> bytes = unit.bytes(s.go_type);
    if (!bytes || *bytes == 0) return debug_information(fmt::format("has no sensible size of {}", s.go_type));
    for (const LayoutField& f : s.fields) {
      if (f.size != nullptr) {
        *f.size(out) = static_cast<uint32_t>(*bytes);
        continue;
      }
      const std::optional<Field> found = unit.field(s.go_type, f.path);
      if (!found && f.field(measured)->present())
        return debug_information(fmt::format("has no field {}.{}", s.go_type, f.path));
      if (!found) continue;
      if (found->bytes == 0 || found->bytes > *bytes || found->offset > *bytes - found->bytes)
        return debug_information(fmt::format("has {}.{} outside of its struct", s.go_type, f.path));
      *f.field(out) = *found;
    }
  }
  return {};
}

// Arrays of a length that the readers know, and those of structs that have a member of their own here.
Status check_arrays(const Layout& l) {
  const std::array<std::pair<const char*, bool>, 7> kept = {{
      {"runtime.heapArena.spans", l.heap_arena.spans.bytes == 8 * kArenaPages},
      {"runtime.heapArena.pageInUse", l.heap_arena.page_in_use.bytes == kArenaPages / 8},
      {"runtime.mheap.pages.summary", l.mheap.pages_summary.bytes == kSummaryLevels * 24},
      {"runtime.mcache.alloc", l.mcache.alloc.bytes == kSpanClasses * 8},
      {"runtime.mstats.heapStats.stats", l.mstats.heap_stats.bytes == 3 * l.heap_stats_delta.size},
      {"runtime.memRecord.active", l.mem_record.active.bytes == l.mem_record_cycle.size},
      {"runtime.memRecord.future", l.mem_record.future.bytes == 3 * l.mem_record_cycle.size},
  }};
  for (const auto& [name, ok] : kept)
    if (!ok) return debug_information(fmt::format("has another length of {} than this memwhy reads", name));
  return {};
}

Status fill_constants(const DwarfUnit& unit, Layout& out) {
  for (const Premise& premise : kPremises) {
    const std::optional<uint64_t> value = unit.constant(premise.name);
    if (!value) return debug_information(fmt::format("has no constant {}", premise.name));
    if (*value != premise.value)
      return debug_information(fmt::format("says that {} is {}, and this memwhy reads {} only", premise.name,
                                           *value, premise.value));
  }
  const std::optional<Field> marks = unit.field(kInlineMarks, "marks");
  if (out.minor >= kInlineMarksMinor &&
      (unit.bytes(kInlineMarks) != 128 || !marks || marks->offset != 64 || marks->bytes != 63))
    return debug_information(fmt::format("has another {} than this memwhy reads", kInlineMarks));
  const std::optional<uint64_t> kind = unit.constant(kSpecialProfile);
  if (!kind || *kind == 0 || *kind > 255)
    return debug_information(fmt::format("has no constant {}", kSpecialProfile));
  out.special_profile_kind = static_cast<uint32_t>(*kind);
  return {};
}

// The texts of the reasons by number, as far as the file has them; "" is an unknown one.
std::vector<std::string> read_wait_reasons(const DwarfUnit& unit, const Fd& file) {
  std::vector<std::string> out;
  const std::optional<DwarfUnit::Variable> where = unit.variable(kWaitReasons);
  Fd again(::fcntl(file.get(), F_DUPFD_CLOEXEC, 0));
  if (!where || !again) return out;
  Result<std::unique_ptr<symbols::FileBytes>> bytes =
      symbols::FileBytes::open(std::move(again), kMostFileBytes);
  if (!bytes) return out;
  Result<symbols::ElfFile> elf = symbols::ElfFile::parse(**bytes);
  if (!elf) return out;
  const size_t count = std::min<uint64_t>(where->bytes / 16, std::size(Layout{}.wait_reasons));
  const std::vector<uint64_t> words = symbols::load_words(**bytes, *elf, where->address, 2 * count);
  for (size_t i = 0; i + 1 < words.size(); i += 2) {
    std::string text;
    const std::optional<uint64_t> offset = elf->offset_of(words[i]);
    if (offset && words[i + 1] <= kMostReasonBytes) {
      text.resize(words[i + 1]);
      const bool read((*bytes)->read_at(*offset, std::as_writable_bytes(std::span(text))));
      if (!read || !std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; }))
        text.clear();
    }
    out.push_back(std::move(text));
  }
  return out;
}

}  // namespace

Result<std::unique_ptr<const DwarfLayout>> dwarf_layout(const Fd& file, int minor) {
  Result<DwarfUnit> unit = DwarfUnit::open(file);
  if (!unit) return std::move(unit).error();
  for (const LayoutStruct& s : layout_structs()) unit->want_struct(s.go_type);
  unit->want_struct(kInlineMarks);
  for (const Premise& premise : kPremises) unit->want_constant(premise.name);
  unit->want_constant(kSpecialProfile);
  unit->want_variable(kWaitReasons);
  if (Status status = unit->collect(kUnit); !status) return std::move(status).error();

  auto out = std::make_unique<DwarfLayout>();
  Layout& layout = out->layout;
  layout.minor = minor;
  layout.measured = "the program's debug information";
  if (Status status = fill_fields(*unit, layout); !status) return std::move(status).error();
  if (Status status = check_arrays(layout); !status) return std::move(status).error();
  if (Status status = fill_constants(*unit, layout); !status) return std::move(status).error();
  out->wait_reasons = read_wait_reasons(*unit, file);
  for (size_t i = 0; i < out->wait_reasons.size(); ++i) layout.wait_reasons[i] = out->wait_reasons[i];
  return std::unique_ptr<const DwarfLayout>(std::move(out));
}

}  // namespace memwhy::goruntime
