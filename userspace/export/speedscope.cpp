// SPDX-License-Identifier: Apache-2.0
// speedscope: its own file format, a profile in bytes for each owner of each process, the heaviest first. "Left heavy" shows
// a flame graph. The format is https://www.speedscope.app/file-format-schema.json, which is also in its npm package.
#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <nlohmann/json.hpp>
#include <tuple>

#include "export/exporter.h"
#include "export/samples.h"

namespace memwhy::exports {
namespace {

std::string speedscope_text(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

// Frames of all processes, each place once: speedscope draws two numbers as two functions.
class SharedFrames {
 public:
  // Writes those that are new, and returns the number of each place of the table.
  std::vector<uint32_t> add(const SampleTable& table, Output& out) {
    std::vector<uint32_t> numbers;
    for (const Place& place : table.places()) {
      const auto [found, added] =
          numbers_.try_emplace({place.name, place.file, place.line}, static_cast<uint32_t>(numbers_.size()));
      numbers.push_back(found->second);
      if (!added) continue;
      nlohmann::ordered_json frame = {{"name", place.name}};
      if (!place.file.empty()) frame["file"] = place.file;
      if (!place.file.empty() && place.line != 0) frame["line"] = place.line;
      out.put(found->second == 0 ? "\n" : ",\n");
      out.put(speedscope_text(frame));
    }
    return numbers;
  }

 private:
  std::map<std::tuple<std::string, std::string, uint32_t>, uint32_t> numbers_;
};

struct OwnerProfile {
  size_t process = 0;  // its place among those present
  std::string_view owner;
  uint64_t bytes = 0;
};

void write_profile(const OwnerProfile& profile, const SampleTable& table,
                   const std::vector<uint32_t>& numbers, const std::string& name, Output& out) {
  out.put(
      fmt::format(R"({{"type":"sampled","name":{},"unit":"bytes","startValue":0,"endValue":{},"samples":[)",
                  speedscope_text(name), profile.bytes));
  std::string weights;
  for (const Sample& sample : table.resident()) {
    if (sample.owner != profile.owner) continue;
    std::string line = weights.empty() ? "[" : ",[";
    for (auto place = sample.places.rbegin(); place != sample.places.rend(); ++place)
      line += fmt::format("{}{}", place == sample.places.rbegin() ? "" : ",", numbers[*place]);
    out.put(line + "]");
    weights += fmt::format("{}{}", weights.empty() ? "" : ",", sample.bytes);
  }
  out.put(fmt::format("],\"weights\":[{}]}}", weights));
}

}  // namespace

void write_speedscope(const Material& material, Output& out) {
  const auto processes = present(material.explanation);
  out.put(
      "{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\",\"exporter\":\"memwhy\",\n"
      "\"name\":\"resident bytes by owner\",\"activeProfileIndex\":0,\"shared\":{\"frames\":[");
  SharedFrames frames;
  std::deque<SampleTable> tables;
  std::vector<std::vector<uint32_t>> numbers;
  std::vector<OwnerProfile> profiles;
  for (size_t i = 0; i < processes.size(); ++i) {
    const SampleTable& table = tables.emplace_back(*processes[i]);
    numbers.push_back(frames.add(table, out));
    const size_t first = profiles.size();
    for (const Sample& sample : table.resident()) {
      auto same = std::find_if(profiles.begin() + static_cast<ptrdiff_t>(first), profiles.end(),
                               [&](const OwnerProfile& each) { return each.owner == sample.owner; });
      if (same == profiles.end()) same = profiles.insert(same, OwnerProfile{i, sample.owner, 0});
      same->bytes += sample.bytes;
    }
  }
  std::stable_sort(profiles.begin(), profiles.end(),
                   [](const OwnerProfile& a, const OwnerProfile& b) { return a.bytes > b.bytes; });
  out.put("]},\n\"profiles\":[");
  for (size_t i = 0; i < profiles.size(); ++i) {
    const OwnerProfile& profile = profiles[i];
    out.put(i == 0 ? "\n" : ",\n");
    write_profile(
        profile, tables[profile.process], numbers[profile.process],
        fmt::format("{} {}", process_name(material.explanation, *processes[profile.process]), profile.owner),
        out);
  }
  out.put("]}\n");
}

}  // namespace memwhy::exports
