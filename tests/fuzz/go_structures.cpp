// SPDX-License-Identifier: Apache-2.0
#include "go_structures.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <tuple>
#include <utility>

#include "goruntime/buckets.h"
#include "goruntime/globals.h"
#include "goruntime/goroutines.h"
#include "goruntime/layout_fields.h"
#include "goruntime/pages.h"

namespace memwhy::fuzz {
namespace {

std::vector<goruntime::Field> fields_of(goruntime::Layout layout, std::string_view name) {
  std::vector<goruntime::Field> out;
  for (const goruntime::LayoutStruct& each : goruntime::layout_structs()) {
    if (each.name != name) continue;
    for (const goruntime::LayoutField& field : each.fields)
      if (field.field != nullptr && field.field(layout)->present()) out.push_back(*field.field(layout));
  }
  return out;
}

std::vector<uint64_t> spans_of(remote::RemoteMemory& memory, const goruntime::Globals& globals) {
  std::vector<uint64_t> out;
  if (const auto pages = goruntime::read_pages(memory, globals)) {
    for (const goruntime::PageRun& run : pages->runs)
      if (run.span != 0) out.push_back(run.span);
  }
  return out;
}

std::vector<uint64_t> goroutines_of(remote::RemoteMemory& memory, const goruntime::Globals& globals) {
  const auto list = goruntime::read_goroutines(memory, globals);
  return list ? list->all : std::vector<uint64_t>();
}

std::vector<uint64_t> buckets_of(remote::RemoteMemory& memory, const goruntime::Globals& globals) {
  std::vector<uint64_t> out;
  for (const uint64_t head : goruntime::find_buckets(memory, globals).heads) {
    const auto newest = remote::read_value<uint64_t>(memory, head);
    if (head == 0 || !newest) continue;
    static_cast<void>(goruntime::walk_buckets(memory, globals, *newest, 0, [&](uint64_t address, auto) {
      out.push_back(address);
      return Status();
    }));
  }
  return out;
}

std::vector<uint64_t> slices_of(const goruntime::Globals& globals) {
  std::vector<uint64_t> out;
  for (const std::optional<uint64_t>& slice : {globals.allgs, globals.allp})
    if (slice) out.push_back(*slice);
  return out;
}

uint64_t mask_of(uint32_t bytes) { return bytes >= 8 ? ~uint64_t{0} : (uint64_t{1} << bytes * 8) - 1; }

}  // namespace

std::vector<GoStructure> structures_of(const GoSnapshot& snapshot) {
  int minor = 0;
  check(std::sscanf(snapshot.program.version.c_str(), "go1.%d", &minor) == 1, "a snapshot is of a release");
  const goruntime::Layout* layout = goruntime::layout_of(minor);
  check(layout != nullptr, "its layout is known");
  PatchedMemory memory(snapshot.memory, {});
  goruntime::Image image = snapshot.program.image;
  image.file = std::make_shared<PatchedMemory>(snapshot.file, std::vector<Patch>{});
  const auto globals = goruntime::find_globals(memory, *layout, image);
  check(globals.ok(), "the tables of a snapshot are found");
  std::vector<GoStructure> out;
  const auto& span = layout->mspan;
  out.push_back({"mspan",
                 spans_of(memory, *globals),
                 fields_of(*layout, "mspan"),
                 {{span.elemsize, span.nelems}, {span.nelems, span.elemsize}}});
  out.push_back({"g", goroutines_of(memory, *globals), fields_of(*layout, "g"), {}});
  out.push_back({"mheap", {globals->mheap}, fields_of(*layout, "mheap"), {}});
  out.push_back({"moduledata", {globals->moduledata}, fields_of(*layout, "moduledata"), {}});
  out.push_back({"bucket", buckets_of(memory, *globals), fields_of(*layout, "bucket"), {}});
  out.push_back({"slice", slices_of(*globals), {{0, 8}, {8, 8}, {16, 8}}, {}});
  for (const GoStructure& each : out)
    check(!each.addresses.empty() && !each.fields.empty(), "a snapshot has each of the structures");
  return out;
}

Patch patch_of_field(const GoSnapshot& snapshot, const std::vector<GoStructure>& structures, Random& random) {
  const auto any = [&](const auto& list) -> const auto& { return list[random.below(list.size())]; };
  const auto word_at = [&](uint64_t address) {
    uint64_t value = 0;
    static_cast<void>(
        PatchedMemory(snapshot.memory, {}).read(address, std::as_writable_bytes(std::span(&value, 1))).ok());
    return value;
  };
  const GoStructure& of = any(structures);
  goruntime::Field field = any(of.fields), other = any(of.fields);
  const bool wraps = !of.products.empty() && random.one_in(6);
  if (wraps) std::tie(field, other) = any(of.products);
  const uint64_t start = any(of.addresses), at = start + field.offset, shift = at % 8 * 8;
  const uint64_t old = word_at(at - at % 8), mask = mask_of(field.bytes);
  uint64_t value = old >> shift & mask;
  switch (wraps ? 4 : random.below(6)) {
    case 0:
    case 1:
      value = random.nasty();
      break;
    case 4: {  // times what another field is, it wraps to a small number
      const uint64_t beside = start + other.offset;
      const uint64_t times = word_at(beside - beside % 8) >> beside % 8 * 8 & mask_of(other.bytes);
      value = times == 0 ? ~uint64_t{0} : ~uint64_t{0} / times + random.below(2);
      break;
    }
    case 2:
      value = random.near(value);
      break;
    case 3:
      value = word_at(any(of.addresses) + field.offset);
      break;
    default:
      value = any(any(structures).addresses);
  }
  return {at - at % 8, (old & ~(mask << shift)) | (value & mask) << shift, 0, Patch::kForever};
}

}  // namespace memwhy::fuzz
