// SPDX-License-Identifier: Apache-2.0
#include "export/rows.h"

#include <array>
#include <map>

#include "export/samples.h"
#include "report/clock.h"
#include "report/names.h"

namespace memwhy::exports {
namespace {

constexpr auto kInt = ColumnType::kInteger;
constexpr auto kReal = ColumnType::kReal;
constexpr auto kText = ColumnType::kText;

constexpr std::array kRecordingColumns = {Column{"version", kText}, Column{"host", kText},
                                          Column{"kernel", kText},  Column{"start", kText},
                                          Column{"seconds", kReal}, Column{"complete", kInt}};
constexpr std::array kProcessColumns = {
    Column{"process", kInt},    Column{"pid", kInt},       Column{"comm", kText},
    Column{"exe", kText},       Column{"build_id", kText}, Column{"cgroup", kText},
    Column{"container", kText}, Column{"rss_bytes", kInt}, Column{"heap_profile_bytes", kInt},
    Column{"scan_time", kText}, Column{"verdict", kText},  Column{"replaced_by_exec", kInt}};
constexpr std::array kLedgerColumns = {Column{"process", kInt}, Column{"owner", kText}, Column{"bytes", kInt},
                                       Column{"growth_bytes_per_s", kReal}};
constexpr std::array kCellColumns = {Column{"process", kInt},
                                     Column{"owner", kText},
                                     Column{"how", kText},
                                     Column{"mapping", kText},
                                     Column{"bytes", kInt},
                                     Column{"huge_bytes", kInt},
                                     Column{"lazy_bytes", kInt},
                                     Column{"oldest_s", kReal},
                                     Column{"trust", kText},
                                     Column{"stack_id", kInt},
                                     Column{"stack", ColumnType::kTexts}};
constexpr std::array kFrameColumns = {
    Column{"process", kInt}, Column{"stack_id", kInt}, Column{"depth", kInt},   Column{"function", kText},
    Column{"file", kText},   Column{"line", kInt},     Column{"module", kText}, Column{"build_id", kText},
    Column{"offset", kInt},  Column{"kind", kText}};
constexpr std::array kFindingColumns = {Column{"process", kInt},
                                        Column{"id", kText},
                                        Column{"kind", kText},
                                        Column{"claim", kText},
                                        Column{"bytes", kInt},
                                        Column{"growth_bytes_per_s", kReal},
                                        Column{"recoverable_bytes", kInt},
                                        Column{"confidence", kText},
                                        Column{"remedy", kText}};
constexpr std::array kSeriesColumns = {Column{"process", kInt},   Column{"t", kText},
                                       Column{"seconds", kReal},  Column{"owner", kText},
                                       Column{"bytes", kInt},     Column{"arrived_bytes", kInt},
                                       Column{"left_bytes", kInt}};
constexpr std::array kRssColumns = {Column{"process", kInt},       Column{"t", kText},
                                    Column{"seconds", kReal},      Column{"bytes", kInt},
                                    Column{"go_live_bytes", kInt}, Column{"go_goal_bytes", kInt}};
constexpr std::array kEventColumns = {Column{"process", kInt},  Column{"t", kText},
                                      Column{"seconds", kReal}, Column{"what", kText},
                                      Column{"text", kText},    Column{"bytes", kInt}};

constexpr std::array<Table, 9> kTables = {{{"recording", kRecordingColumns},
                                           {"process", kProcessColumns},
                                           {"ledger", kLedgerColumns},
                                           {"finding", kFindingColumns},
                                           {"rss", kRssColumns},
                                           {"series", kSeriesColumns},
                                           {"event", kEventColumns},
                                           {"cell", kCellColumns},
                                           {"frame", kFrameColumns}}};
constexpr const Table& kRecording = kTables[0];
constexpr const Table& kProcess = kTables[1];
constexpr const Table& kLedger = kTables[2];
constexpr const Table& kFinding = kTables[3];
constexpr const Table& kRss = kTables[4];
constexpr const Table& kSeries = kTables[5];
constexpr const Table& kEvent = kTables[6];
constexpr const Table& kCell = kTables[7];
constexpr const Table& kFrame = kTables[8];

Value bytes_or_null(const std::optional<uint64_t>& value) {
  return value ? Value(static_cast<int64_t>(*value)) : Value();
}
Value whole(uint64_t value) { return static_cast<int64_t>(value); }
Value real_or_null(const std::optional<double>& value) { return value ? Value(*value) : Value(); }
Value text(std::string_view value) { return value.empty() ? Value() : Value(clean(value)); }
Value sentence(const std::string& value) {
  return value.empty() ? Value() : Value(clean(value, kMostSentence));
}

class Rows {
 public:
  using Take = std::function<void(const Table&, const Row&)>;
  Rows(const explain::Explanation& all, const Take& take) : all_(all), take_(take) {}

  void recording() {
    take_(kRecording,
          {text(all_.recording.tool_version), text(all_.recording.host), text(all_.recording.kernel_release),
           time(all_.start), since_start(all_.end), whole(all_.coverage.complete ? 1 : 0)});
  }
  void process(const explain::ProcessExplanation& each, size_t place) {
    number_ = whole(place);
    take_(
        kProcess,
        {number_, int64_t{each.pid}, text(each.comm), text(each.exe), text(each.build_id), text(each.cgroup),
         text(each.container.value_or("")), each.scan_time ? whole(each.rss.bytes) : Value(),
         bytes_or_null(each.heap_profile_inuse_bytes), each.scan_time ? time(*each.scan_time) : Value(),
         text(report::word(each.verdict.kind)), whole(each.replaced ? 1 : 0)});
    for (const explain::LedgerLine& line : each.ledger)
      take_(kLedger, {number_, text(line.id()), whole(line.bytes), real_or_null(line.growth_bytes_per_s)});
    for (const explain::Finding& found : each.findings)
      take_(kFinding, {number_, text(found.id), text(report::word(found.kind)), sentence(found.claim),
                       whole(found.bytes), real_or_null(found.growth_bytes_per_s),
                       bytes_or_null(found.recoverable_bytes), text(report::word(found.confidence)),
                       sentence(found.remedy)});
    for (const explain::TimelinePoint& point : each.timeline) this->point(each, point);
    for (const explain::TimelineEvent& event : each.events)
      take_(kEvent, {number_, time(event.time), since_start(event.time), text(report::word(event.what)),
                     sentence(event.text), bytes_or_null(event.bytes)});
    cells(each);
    frames(each.attribution);
  }

 private:
  Value time(TimeNs at) const {
    const std::optional<std::string> written = report::rfc3339(all_.clock, at);
    return written ? Value(*written) : Value();
  }
  Value since_start(TimeNs at) const {
    return (static_cast<double>(at) - static_cast<double>(all_.start)) / 1e9;
  }
  void point(const explain::ProcessExplanation& each, const explain::TimelinePoint& point) {
    take_(kRss, {number_, time(point.time), since_start(point.time), whole(point.rss_bytes),
                 point.go ? whole(point.go->live_bytes) : Value(),
                 point.go ? bytes_or_null(point.go->goal_bytes) : Value()});
    struct Amounts {
      uint64_t bytes = 0, arrived = 0, left = 0;
    };
    std::map<std::string_view, Amounts> owners;
    for (const explain::OwnerAmount& amount : point.ledger)
      owners[each.attribution.owner_id(amount.owner)].bytes = amount.bytes;
    for (const explain::OwnerFlow& flow : point.flows) {
      Amounts& amounts = owners[each.attribution.owner_id(flow.owner)];
      amounts.arrived = flow.arrived;
      amounts.left = flow.left;
    }
    for (const auto& [owner, amounts] : owners)
      take_(kSeries, {number_, time(point.time), since_start(point.time), text(owner), whole(amounts.bytes),
                      whole(amounts.arrived), whole(amounts.left)});
  }
  void cells(const explain::ProcessExplanation& each) {
    const SampleTable table(each);
    for (const Sample& sample : table.resident()) {
      const explain::Cell& cell = *sample.cell;
      const bool aged = !cell.rest && cell.oldest != 0 && cell.oldest <= each.attribution.time;
      std::vector<std::string> stack;
      if (cell.stack != explain::kNoIndex)
        for (const uint32_t place : sample.places) stack.push_back(table.places()[place].name);
      take_(kCell, {number_, text(sample.owner), text(sample.how), text(sample.mapping), whole(sample.bytes),
                    whole(cell.huge_pages * kPageBytes), whole(cell.lazy_pages * kPageBytes),
                    aged ? Value(static_cast<double>(each.attribution.time - cell.oldest) / 1e9) : Value(),
                    text(sample.trust), cell.stack != explain::kNoIndex ? whole(cell.stack) : Value(),
                    stack.empty() ? Value() : Value(std::move(stack))});
    }
  }
  void frames(const explain::Attribution& all) {
    for (size_t stack = 0; stack < all.stacks.size(); ++stack) {
      for (size_t depth = 0; depth < all.stacks[stack].frames.size(); ++depth) {
        const explain::Frame& frame = all.frames[all.stacks[stack].frames[depth]];
        take_(kFrame, {number_, whole(stack), whole(depth), text(frame.function), text(frame.file),
                       frame.line != 0 ? whole(frame.line) : Value(), text(frame.module),
                       text(frame.build_id), whole(frame.offset), text(report::word(frame.kind))});
      }
    }
  }

  const explain::Explanation& all_;
  const Take& take_;
  Value number_;
};

}  // namespace

std::span<const Table> tables() { return kTables; }

void for_each_row(const explain::Explanation& all,
                  const std::function<void(const Table&, const Row&)>& take) {
  Rows rows(all, take);
  rows.recording();
  for (size_t place = 0; place < all.processes.size(); ++place) rows.process(all.processes[place], place);
}

}  // namespace memwhy::exports
