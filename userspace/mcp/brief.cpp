// SPDX-License-Identifier: Apache-2.0
#include "mcp/brief.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

#include "base/text.h"
#include "mcp/fitted.h"

namespace memwhy::mcp {
namespace {

constexpr size_t kMostNameBytes = 120, kMostSentenceBytes = 400;
constexpr size_t kTailBytes = 160;  // what is left out, in numbers: always has room
constexpr size_t kFirstLines = 4;   // of a table, before anything else has room
constexpr size_t kMostNamed = 8;    // in the sentence that lists what exists

// What may be null stays null.
Json name_of(const Json& value, size_t most = kMostNameBytes) {
  return value.is_string() ? Json(escape(value.get_ref<const std::string&>(), most)) : value;
}
Json sentence_of(const Json& value) { return name_of(value, kMostSentenceBytes); }

int64_t number_of(const Json& value) { return value.is_number() ? value.get<int64_t>() : 0; }
int64_t rss_of(const Json& process) { return number_of(process.at("rss").at("bytes")); }

Result<Json> parsed(std::string_view json) {
  Json out = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (out.is_discarded()) return Error(ErrorCode::kInternal, "the answer is no JSON");
  return out;
}

// Those that are there, heaviest first; what a process was before an exec is not.
std::vector<const Json*> processes_of(const Json& all) {
  std::vector<const Json*> out;
  for (const Json& process : all.at("processes"))
    if (!process.at("replaced_by_exec").get<bool>()) out.push_back(&process);
  if (out.empty())
    for (const Json& process : all.at("processes")) out.push_back(&process);
  std::stable_sort(out.begin(), out.end(),
                   [](const Json* a, const Json* b) { return rss_of(*a) > rss_of(*b); });
  return out;
}

// nullptr: there are several, and none was requested.
Result<const Json*> chosen(const std::vector<const Json*>& processes, const BriefOptions& options) {
  if (!options.pid) return processes.size() == 1 ? processes.front() : nullptr;
  std::string known;
  for (size_t i = 0; i < processes.size(); ++i) {
    if (processes[i]->at("pid") == *options.pid) return processes[i];
    if (i < kMostNamed) known += fmt::format("{}{}", i == 0 ? "" : ", ", number_of(processes[i]->at("pid")));
  }
  return Error(ErrorCode::kUsage, fmt::format("the recording has no pid {}; it has {}{}", *options.pid, known,
                                              processes.size() > kMostNamed
                                                  ? fmt::format(" and {} more", processes.size() - kMostNamed)
                                                  : ""));
}

void put_process_names(Fitted& out, Json& object, const Json& process) {
  out.put(object, "pid", process.at("pid"));
  out.put(object, "comm", name_of(process.at("comm")));
  out.put(object, "rss", {{"bytes", process.at("rss").at("bytes")}});
}

Json short_finding(const Json& finding, size_t most) {
  Json out = {{"id", finding.at("id")},
              {"kind", finding.at("kind")},
              {"claim", name_of(finding.at("claim"), most)},
              {"bytes", finding.at("bytes")},
              {"confidence", finding.at("confidence")}};
  if (finding.at("kind") == "problem") {
    out["recoverable_bytes"] = finding.at("recoverable_bytes");
    out["remedy"] = name_of(finding.at("remedy"), most);
  }
  return out;
}

// Finding by finding and line by line, so that neither takes the other's room.
void put_findings_and_ledger(Fitted& out, const Json& process) {
  const Json &findings = process.at("findings"), &ledger = process.at("ledger");
  Json* const said = out.put(out.root, "findings", Json::array());
  Json* const lines = said == nullptr ? nullptr : out.put(out.root, "ledger", Json::array());
  if (lines == nullptr) return;
  size_t taken = 0, listed = 0;
  int64_t rest = rss_of(process);
  const auto take_finding = [&] {
    if (taken == findings.size()) return false;
    const Json& finding = findings[taken];
    Json& list = *out.root.find("findings");
    // A name that is nothing but quotes takes four times its bytes, and must not hide what it is of.
    const bool fits = out.append(list, short_finding(finding, kMostSentenceBytes)) ||
                      (taken == 0 && out.append(list, short_finding(finding, kMostNameBytes)));
    taken += fits ? 1 : 0;
    return fits;
  };
  const auto take_line = [&] {
    if (listed == ledger.size()) return false;
    const Json& line = ledger[listed];
    if (!out.append(*out.root.find("ledger"), {{"id", line.at("id")},
                                               {"bytes", line.at("bytes")},
                                               {"growth_bytes_per_s", line.at("growth_bytes_per_s")}}))
      return false;
    ++listed;
    rest -= number_of(line.at("bytes"));
    return true;
  };
  take_finding();
  while (listed < kFirstLines && take_line()) {
  }
  while (take_finding()) {
  }
  while (take_line()) {
  }
  Json& kept = *out.root.find("findings");
  for (size_t i = 0; i < taken; ++i)
    for (const char* key : {"evidence", "against"}) {
      Json sentences = Json::array();
      for (const Json& each : findings[i].at(key)) sentences.push_back(sentence_of(each));
      if (!sentences.empty()) out.put(kept[i], key, std::move(sentences));
    }
  out.release();
  out.put(out.root, "ledger_rest_bytes", rest);
  if (taken < findings.size()) out.put(out.root, "findings_left_out", findings.size() - taken);
}

void put_process(Fitted& out, const Json& all, const Json& process) {
  Json& root = out.root;
  put_process_names(out, root, process);
  out.put(root, "heap_profile", {{"inuse_bytes", process.at("heap_profile").at("inuse_bytes")}});
  out.put(root, "gap_bytes", process.at("gap_bytes"));
  const Json& verdict = process.at("verdict");
  out.put(root, "verdict", {{"is", verdict.at("is")}, {"reason", sentence_of(verdict.at("reason"))}});
  const Json& coverage = process.at("coverage");
  out.put(root, "coverage",
          {{"unattributed_bytes", coverage.at("unattributed_bytes")},
           {"before_attach_bytes", coverage.at("before_attach_bytes")},
           {"events_lost", all.at("coverage").at("events_lost")}});
  const Json& limit = process.at("cgroup_memory");
  if (!limit.is_null() && !limit.at("limit_bytes").is_null())
    out.put(root, "cgroup_memory",
            {{"usage_bytes", limit.at("usage_bytes")}, {"limit_bytes", limit.at("limit_bytes")}});
  put_findings_and_ledger(out, process);
}

// Of several: the choice for a further request.
void put_list(Fitted& out, const std::vector<const Json*>& processes) {
  out.put(out.root, "processes", Json::array());
  size_t taken = 0;
  int64_t rest = 0;
  for (const Json* process : processes) {
    const Json& findings = process->at("findings");
    const Json entry = {{"pid", process->at("pid")},
                        {"comm", name_of(process->at("comm"))},
                        {"rss", {{"bytes", process->at("rss").at("bytes")}}},
                        {"verdict", {{"is", process->at("verdict").at("is")}}},
                        {"headline", findings.empty() ? Json() : sentence_of(findings[0].at("headline"))}};
    if (rest == 0 && out.append(*out.root.find("processes"), entry))
      ++taken;
    else
      rest += rss_of(*process);
  }
  out.release();
  if (taken < processes.size()) {
    out.put(out.root, "processes_left_out", processes.size() - taken);
    out.put(out.root, "processes_rest_bytes", rest);
  }
  out.put(out.root, "next", "give a pid for its findings, ledger and stacks");
}

Fitted begin(const BriefOptions& options) {
  Fitted out(options.most_bytes);
  out.reserve(kTailBytes);
  return out;
}

// ---- stacks

std::string frame_text(const Json& frame) {
  if (frame.at("function").is_null()) {
    const std::string module =
        frame.at("module").is_null() ? "unknown" : frame.at("module").get<std::string>();
    const auto offset = frame.at("offset").is_number() ? frame.at("offset").get<uint64_t>() : 0;
    return escape(fmt::format("{}+{:#x}", base_name(module), offset), kMostNameBytes);
  }
  std::string text = frame.at("function").get<std::string>();
  if (!frame.at("file").is_null()) {
    const std::string file = frame.at("file").get<std::string>();
    text += fmt::format(" ({}:{})", base_name(file), number_of(frame.at("line")));
  }
  return escape(text, kMostNameBytes);
}

// Innermost first: the first, and then from the program's own on. `most` of them.
Json frames_of(const Json& process, const Json& stack, size_t most) {
  const Json &numbers = stack.at("frames"), &frames = process.at("frames");
  size_t own = 0;
  while (own < numbers.size() && frames.at(numbers[own].get<size_t>()).at("kind") != "program") ++own;
  Json out = Json::array();
  for (size_t i = 0; i < numbers.size() && out.size() < most; ++i)
    if (i == 0 || i >= own || own == numbers.size())
      out.push_back(frame_text(frames.at(numbers[i].get<size_t>())));
  return out;
}

bool is_of(const std::string& id, const std::string& owner) {
  return owner.empty() || id == owner || id.starts_with(owner + ".");
}

// What it shows of a cell: its owner, and its stack or its mapping.
Json shown(const Json& process, const Json& cell, size_t most_frames) {
  Json out = {{"owner", cell.at("owner")}, {"how", cell.at("how")}};
  if (!cell.at("stack").is_null()) {
    const Json& stack = process.at("stacks").at(cell.at("stack").get<size_t>());
    out["frames"] = frames_of(process, stack, most_frames);
    if (stack.at("truncated").get<bool>()) out["truncated"] = true;
  } else if (!cell.at("mapping").is_null()) {
    const Json& mapping = process.at("mappings").at(cell.at("mapping").get<size_t>());
    out["mapping"] = name_of(mapping.at("file").is_null() ? mapping.at("name") : mapping.at("file"));
  }
  return out;
}

// Cells that show the same are one entry. Heaviest first.
std::vector<std::pair<int64_t, Json>> entries_of(const Json& process, const BriefOptions& options) {
  constexpr size_t kBytesOfFrame = 320;  // more room, longer stacks
  const size_t most_frames = std::clamp<size_t>(options.most_bytes / kBytesOfFrame, 5, 64);
  std::map<std::string, std::pair<int64_t, Json>> piles;
  for (const Json& cell : process.at("cells")) {
    if (!is_of(cell.at("owner").get_ref<const std::string&>(), options.owner)) continue;
    Json entry = shown(process, cell, most_frames);
    const auto [pile, is_new] = piles.try_emplace(entry.dump(), 0, std::move(entry));
    pile->second.first += number_of(cell.at("bytes"));
  }
  std::vector<std::pair<int64_t, Json>> out;
  for (auto& [key, pile] : piles) out.push_back(std::move(pile));
  std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  return out;
}

// The owners that cells have: the valid requests.
Error no_such_owner(const Json& process, const std::string& owner) {
  std::map<std::string, int64_t> owners;
  for (const Json& cell : process.at("cells"))
    owners[cell.at("owner").get<std::string>()] += number_of(cell.at("bytes"));
  std::string known;
  for (const auto& [id, bytes] : owners) known += (known.empty() ? "" : ", ") + id;
  return {ErrorCode::kUsage, fmt::format("no page has the owner {}; there are {}", escape(owner, 80), known)};
}

// ---- differences

// The lines that fit; what they leave out goes to the rest, so that the table still sums to the change of RSS.
void put_table(Fitted& out, Json& by, const std::string& aspect, const Json& table) {
  constexpr size_t kRestBytes = 40;
  Json* const kept = out.put(by, aspect, {{"lines", Json::array()}});
  if (kept == nullptr) return;
  int64_t rest = number_of(table.at("rest"));
  const Json& lines = table.at("lines");
  bool full = false;
  size_t taken = 0;
  out.reserve(kTailBytes + kRestBytes);
  for (const Json& line : lines) {
    Json entry = line;
    entry["name"] = name_of(line.at("name"));
    full = full || taken == 2 * kFirstLines || !out.append((*kept)["lines"], std::move(entry));
    if (full)
      rest += number_of(line.at("change"));
    else
      ++taken;
  }
  out.release();
  out.put(*kept, "rest", rest);
  out.reserve(kTailBytes);
}

Json short_problems(const Json& problems) {
  Json out = Json::object();
  for (const auto& [when, list] : problems.items()) {
    out[when] = Json::array();
    for (const Json& each : list)
      out[when].push_back({{"id", each.at("id")}, {"claim", sentence_of(each.at("claim"))}});
  }
  return out;
}

// The program that changed most, with its tables; of the others the change alone.
void put_programs(Fitted& out, const Json& programs) {
  out.put(out.root, "programs", Json::array());
  int64_t rest = 0;
  size_t taken = 0;
  const auto rss = [](const Json& side) { return side.is_null() ? Json() : side.at("rss_bytes"); };
  for (const Json& program : programs) {
    Json entry = {{"program", name_of(program.at("program"))},
                  {"rss_change", program.at("rss_change")},
                  {"before", rss(program.at("before"))},
                  {"after", rss(program.at("after"))}};
    if (taken < kMostNamed && out.append(out.root["programs"], std::move(entry)))
      ++taken;
    else
      rest += number_of(program.at("rss_change"));
  }
  if (taken > 0) {
    out.put(out.root["programs"][0], "problems", short_problems(programs[0].at("problems")));
    if (out.put(out.root["programs"][0], "by", Json::object()) != nullptr)
      for (const auto& [aspect, table] : programs[0].at("by").items())
        if (!table.at("lines").empty()) put_table(out, out.root["programs"][0]["by"], aspect, table);
  }
  out.release();
  if (taken < programs.size()) {
    out.put(out.root, "programs_left_out", programs.size() - taken);
    out.put(out.root, "rest_change", rest);
  }
}

}  // namespace

Result<std::string> brief_explanation(std::string_view json, const BriefOptions& options) {
  const Result<Json> all = parsed(json);
  if (!all) return all.error();
  const std::vector<const Json*> processes = processes_of(*all);
  Fitted out = begin(options);
  out.put(out.root, "interval", all->at("interval"));
  const Json& container = all->at("container");
  if (!container.is_null() && !container.at("cgroup").is_null())
    out.put(out.root, "container",
            {{"usage_bytes", container.at("cgroup").at("usage_bytes")},
             {"limit_bytes", container.at("cgroup").at("limit_bytes")}});
  const Result<const Json*> process = chosen(processes, options);
  if (!process) return process.error();
  if (*process != nullptr)
    put_process(out, *all, **process);
  else
    put_list(out, processes);
  return out.text();
}

Result<std::string> brief_stacks(std::string_view json, const BriefOptions& options) {
  const Result<Json> all = parsed(json);
  if (!all) return all.error();
  const std::vector<const Json*> processes = processes_of(*all);
  const Result<const Json*> asked = chosen(processes, options);
  if (!asked) return asked.error();
  if (processes.empty()) return Error(ErrorCode::kUsage, "the recording has no process");
  const Json& process = *asked == nullptr ? *processes.front() : **asked;
  std::vector<std::pair<int64_t, Json>> entries = entries_of(process, options);
  if (entries.empty() && !options.owner.empty()) return no_such_owner(process, options.owner);
  int64_t rest = 0;
  for (const auto& [bytes, entry] : entries) rest += bytes;
  Fitted out = begin(options);
  put_process_names(out, out.root, process);
  out.put(out.root, "bytes", rest);
  out.put(out.root, "stacks", Json::array());
  size_t taken = 0;
  for (auto& [bytes, entry] : entries) {
    entry["bytes"] = bytes;
    if (!out.append(out.root["stacks"], std::move(entry))) break;
    rest -= bytes;
    ++taken;
  }
  out.release();
  out.put(out.root, "rest_bytes", rest);
  if (taken < entries.size()) out.put(out.root, "stacks_left_out", entries.size() - taken);
  return out.text();
}

Result<std::string> brief_difference(std::string_view json, const BriefOptions& options) {
  const Result<Json> all = parsed(json);
  if (!all) return all.error();
  Fitted out = begin(options);
  for (const char* side : {"before", "after"})
    out.put(out.root, side, {{"name", name_of(all->at(side).at("name"))}, {"end", all->at(side).at("end")}});
  put_programs(out, all->at("programs"));
  return out.text();
}

}  // namespace memwhy::mcp
