// SPDX-License-Identifier: Apache-2.0
// Metrics: figures as Prometheus and OpenMetrics read them. Pure text; what is counted is its callers'.
//
//   Exposition out(true);
//   out.family("memwhy_triggers", Kind::kCounter, "Triggers that fired.");
//   out.sample({{"trigger", "growth"}}, 3);        memwhy_triggers_total{trigger="growth"} 3
//   out.finish()                                   ... # EOF
//
// Labels are names of units, owners, causes and triggers, of which there are few; never a pid, a path or a stack. Beyond
// --max-units the smallest units are summed up as "__other__" (fold()).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace memwhy::agent {

using Labels = std::vector<std::pair<std::string_view, std::string>>;
enum class Kind : uint8_t { kGauge, kCounter };

class Exposition {
 public:
  explicit Exposition(bool open_metrics) : open_metrics_(open_metrics) {}
  // `name` of a counter: without "_total".
  void family(std::string_view name, Kind kind, std::string_view help, std::string_view unit = "");
  void sample(const Labels& labels, double value);
  // A family with one sample.
  void one(std::string_view name, Kind kind, std::string_view help, double value,
           std::string_view unit = "") {
    family(name, kind, help, unit);
    sample({}, value);
  }
  std::string finish();

 private:
  bool open_metrics_;
  std::string sample_name_;
  std::string text_;
};

constexpr std::string_view kOther = "__other__";

// Which label each unit has: its own for the `most` of the most bytes, else kOther.
std::map<std::string, std::string> fold(const std::map<std::string, uint64_t>& bytes_of_units, size_t most);

}  // namespace memwhy::agent
