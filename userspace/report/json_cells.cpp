// SPDX-License-Identifier: Apache-2.0
#include "report/json_cells.h"

#include <fmt/format.h>

#include "report/names.h"

namespace memwhy::report {
namespace {

using Json = nlohmann::ordered_json;

Json index(uint32_t value) { return value == explain::kNoIndex ? Json(nullptr) : Json(value); }

Json frame(const explain::Frame& each) {
  return {{"function", text_or_null(each.function)},
          {"file", text_or_null(each.file)},
          {"line", each.line != 0 ? Json(each.line) : Json(nullptr)},
          {"module", text_or_null(each.module)},
          {"build_id", text_or_null(each.build_id)},
          {"address", each.address},
          {"offset", each.offset},
          {"kind", word(each.kind)}};
}

Json mapping(const explain::Mapping& each) {
  const events::Vma& vma = each.vma;
  return {{"start", vma.range.start},
          {"end", vma.range.end},
          {"permissions", fmt::format("{}{}{}{}", vma.read ? 'r' : '-', vma.write ? 'w' : '-',
                                      vma.exec ? 'x' : '-', vma.shared ? 's' : 'p')},
          {"name", text_or_null(vma.name)},
          {"file", text_or_null(each.file)},
          {"offset", vma.offset},
          {"device", vma.device},
          {"inode", vma.inode},
          {"shmem", vma.shmem},
          {"by_shape", each.by_shape}};
}

Json cell(const explain::Attribution& all, const explain::Cell& each) {
  Json ages = Json::object();
  static constexpr std::array<const char*, 4> kAges = {"10s", "60s", "600s", "3600s"};
  for (size_t i = 0; i < kAges.size(); ++i) ages[kAges[i]] = each.older_pages[i] * kPageBytes;
  const bool aged = !each.rest && each.oldest != 0 && each.oldest <= all.time;
  return {{"owner", all.cell_id(each.owner)},
          {"how", each.rest ? Json(nullptr) : Json(word(each.how))},
          {"rest", each.rest},
          {"mapping", index(each.mapping)},
          {"stack", index(each.stack)},
          {"bytes", each.bytes()},
          {"huge_bytes", each.huge_pages * kPageBytes},
          {"lazy_bytes", each.lazy_pages * kPageBytes},
          {"oldest_ns", aged ? Json(all.time - each.oldest) : Json(nullptr)},
          {"ages", std::move(ages)}};
}

}  // namespace

Json text_or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

void add_attribution(const explain::Attribution& all, Json& process) {
  Json frames = Json::array(), stacks = Json::array(), mappings = Json::array(), cells = Json::array();
  for (const explain::Frame& each : all.frames) frames.push_back(frame(each));
  for (const explain::CallStack& each : all.stacks)
    stacks.push_back({{"frames", each.frames},
                      {"truncated", each.truncated},
                      {"trust", explain::kStackTrustNames[static_cast<size_t>(each.trust)]},
                      {"certain", each.certain}});
  for (const explain::Mapping& each : all.mappings) mappings.push_back(mapping(each));
  for (const explain::Cell& each : all.cells) cells.push_back(cell(all, each));
  Json allocated = Json::array();
  for (const explain::AllocatedAt& each : all.allocated)
    allocated.push_back({{"bytes", each.bytes}, {"stack", index(each.stack)}});
  process["frames"] = std::move(frames);
  process["stacks"] = std::move(stacks);
  process["mappings"] = std::move(mappings);
  process["cells"] = std::move(cells);
  process["allocated"] = std::move(allocated);
}

Json frame_texts(const explain::Attribution& all, uint32_t stack, explain::FrameText how) {
  return texts_of(all.frames_of(stack), how);
}

}  // namespace memwhy::report
