// SPDX-License-Identifier: Apache-2.0
#include "app/agent_answer.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>

#include "agent/join.h"
#include "app/command.h"
#include "app/file_limits.h"
#include "app/privilege.h"
#include "app/runtimes.h"
#include "base/exit_status.h"
#include "base/time.h"
#include "explain/explainer.h"
#include "export/exporter.h"
#include "report/text_parts.h"
#include "trace/output.h"
#include "trace/writer.h"

namespace memwhy::app {
namespace {

using explain::ProcessExplanation;
using nlohmann::json;

// A process that was scanned so shortly before the end lives, or was alive then.
constexpr TimeNs kStillThere = 60'000'000'000;

// Both at once: the parts are read once.
class FileAndAnswer : public events::EventSink {
 public:
  FileAndAnswer(trace::Writer* file, explain::Explainer& explainer) : file_(file), explainer_(explainer) {}
  void on_event(const events::Event& event) override {
    if (file_ != nullptr) file_->on_event(event);
    explainer_.on_event(event);
  }

 private:
  trace::Writer* const file_;
  explain::Explainer& explainer_;
};

std::string_view word_of(explain::Confidence confidence) {
  return confidence == explain::Confidence::kHigh     ? "high"
         : confidence == explain::Confidence::kMedium ? "medium"
                                                      : "low";
}

// Whose sentence stands for the unit: one with a problem, of these the one with most bytes in it, else the largest.
const ProcessExplanation* foremost(const explain::Explanation& explanation, Pid about) {
  const auto asked = std::find_if(explanation.processes.begin(), explanation.processes.end(),
                                  [about](const ProcessExplanation& each) { return each.pid == about; });
  if (about != 0 && asked != explanation.processes.end()) return &*asked;
  const auto weight = [](const ProcessExplanation& process) {
    const bool problem = report::has_problem(process);
    return std::pair(problem, problem ? process.findings.front().bytes : process.rss.bytes);
  };
  const auto found = std::max_element(explanation.processes.begin(), explanation.processes.end(),
                                      [&](const auto& a, const auto& b) { return weight(a) < weight(b); });
  return found == explanation.processes.end() ? nullptr : &*found;
}

void add_process(UnitAnswer& answer, const ProcessExplanation& process) {
  answer.rss_bytes += process.rss.bytes;
  if (process.heap_profile_inuse_bytes) {
    const uint64_t shown = *process.heap_profile_inuse_bytes;
    answer.heap_profile_bytes = answer.heap_profile_bytes.value_or(0) + shown;
    answer.gap_bytes = answer.gap_bytes.value_or(0) + process.rss.bytes - std::min(shown, process.rss.bytes);
  }
  for (const explain::LedgerLine& line : process.ledger) answer.owners[std::string(line.id())] += line.bytes;
  for (const explain::Finding& finding : process.findings) {
    if (finding.kind != explain::FindingKind::kProblem) continue;
    const std::string confidence(word_of(finding.confidence));
    auto at = std::find_if(answer.problems.begin(), answer.problems.end(), [&](const UnitProblem& each) {
      return each.cause == finding.id && each.confidence == confidence;
    });
    if (at == answer.problems.end()) at = answer.problems.insert(at, {finding.id, confidence, 0, 0});
    at->bytes += finding.bytes;
    at->recoverable_bytes += finding.recoverable_bytes.value_or(0);
  }
}

Result<std::unique_ptr<trace::Writer>> writer_to(const std::string& output) {
  Result<Fd> created = trace::create_output(output);
  if (!created) return std::move(created).error();
  trace::WriterOptions options;
  options.path = output;
  return trace::Writer::create(std::move(*created), std::move(options));
}

Status write_profile(const explain::Explanation& explanation, const std::string& output) {
  const Result<Fd> file = trace::create_output(output);
  if (!file) return file.error();
  exports::Output out([&](std::string_view bytes) { return write_result(file->get(), bytes, output); });
  exports::write_pprof({explanation, {}}, out);
  return out.finish();
}

}  // namespace

std::string encode(const UnitAnswer& answer) {
  json out = {{"seconds", answer.seconds}, {"rss", answer.rss_bytes}, {"sentence", answer.sentence},
              {"owners", answer.owners},   {"damage", answer.damage}, {"bytes", answer.file_bytes},
              {"problems", json::array()}};
  if (answer.heap_profile_bytes) out["heap_profile"] = *answer.heap_profile_bytes;
  if (answer.gap_bytes) out["gap"] = *answer.gap_bytes;
  for (const UnitProblem& problem : answer.problems)
    out["problems"].push_back({{"cause", problem.cause},
                               {"confidence", problem.confidence},
                               {"bytes", problem.bytes},
                               {"recoverable", problem.recoverable_bytes}});
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<UnitAnswer> decode_answer(std::string_view text) {
  UnitAnswer answer;
  try {
    const json in = json::parse(text);
    answer.seconds = in.at("seconds");
    answer.rss_bytes = in.at("rss");
    answer.sentence = in.at("sentence");
    answer.owners = in.at("owners").get<std::map<std::string, uint64_t>>();
    answer.damage = in.at("damage").get<std::vector<std::string>>();
    answer.file_bytes = in.at("bytes");
    if (in.contains("heap_profile")) answer.heap_profile_bytes = in["heap_profile"].get<uint64_t>();
    if (in.contains("gap")) answer.gap_bytes = in["gap"].get<uint64_t>();
    for (const json& each : in.at("problems"))
      answer.problems.push_back(
          {each.at("cause"), each.at("confidence"), each.at("bytes"), each.at("recoverable")});
  } catch (const json::exception& error) {
    return Error(ErrorCode::kInternal, std::string("what explains a ring gave no answer: ") + error.what());
  }
  return answer;
}

Result<UnitAnswer> close_ring(const std::string& why, Pid about, const std::string& output,
                              const std::vector<std::string>& parts) {
  std::unique_ptr<trace::Writer> file;
  if (output != "-" && why != kProfileWord) {
    Result<std::unique_ptr<trace::Writer>> writer = writer_to(output);
    if (!writer) return std::move(writer).error();
    file = std::move(*writer);
  }
  explain::Explainer explainer(owner_table());
  FileAndAnswer sink(file.get(), explainer);
  Result<agent::Joined> joined = agent::join(parts, why, sink);
  if (!joined) return std::move(joined).error();
  UnitAnswer answer;
  if (file) {
    if (Status finished = file->finish(why); !finished) return finished.error();
    answer.file_bytes = file->totals().bytes;
  }
  answer.seconds = static_cast<double>(joined->last - joined->first) / kNsPerSecond;
  answer.damage = std::move(joined->damage);
  const explain::Explanation explanation = explainer.finish();
  if (why == kProfileWord) {
    if (std::ranges::none_of(explanation.processes,
                             [](const auto& each) { return each.scan_time.has_value(); }))
      return Error(ErrorCode::kEnvironment, "the recording of this unit has just begun");
    if (Status written = write_profile(explanation, output); !written) return written.error();
  }
  for (const ProcessExplanation& process : explanation.processes)
    if (process.scan_time && *process.scan_time + kStillThere >= joined->last) add_process(answer, process);
  if (const ProcessExplanation* first = foremost(explanation, about))
    answer.sentence = report::verdict(*first);
  return answer;
}

int run_closer(const std::vector<std::string>& words) {
  Result<UnitAnswer> answer = Error(ErrorCode::kUsage, "agent-close WHY PID OUTPUT PARTS");
  if (words.size() > 4) {
    static_cast<void>(keep_only(0));
    const Status done = within({}, "the ring", [&]() -> Status {
      answer = close_ring(words[1], std::atoi(words[2].c_str()), words[3], {words.begin() + 4, words.end()});
      return answer ? Status{} : Status(answer.error());
    });
    if (!done) answer = done.error();
  }
  static_cast<void>(print(answer ? encode(*answer) : answer.error().message()));
  return answer ? 0 : exit_status(answer.error().code());
}

}  // namespace memwhy::app
