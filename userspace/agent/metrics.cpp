// SPDX-License-Identifier: Apache-2.0
#include "agent/metrics.h"

#include <fmt/format.h>

#include <algorithm>

namespace memwhy::agent {
namespace {

constexpr size_t kLongestLabel = 200;

// Valid UTF-8 is the reader's demand, and names of processes need not be: what is not ASCII becomes '?'.
std::string label_text(std::string_view value) {
  std::string out;
  for (const char c : value.substr(0, kLongestLabel)) {
    if (c == '\\' || c == '"')
      out += {'\\', c};
    else if (c == '\n')
      out += "\\n";
    else
      out += c < ' ' || c >= 0x7f ? '?' : c;
  }
  return out;
}

}  // namespace

void Exposition::family(std::string_view name, Kind kind, std::string_view help, std::string_view unit) {
  const bool counter = kind == Kind::kCounter;
  sample_name_ = fmt::format("{}{}", name, counter ? "_total" : "");
  const std::string_view shown = open_metrics_ ? name : std::string_view(sample_name_);
  text_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", shown, help, shown, counter ? "counter" : "gauge");
  if (open_metrics_ && !unit.empty()) text_ += fmt::format("# UNIT {} {}\n", shown, unit);
}

void Exposition::sample(const Labels& labels, double value) {
  text_ += sample_name_;
  for (size_t i = 0; i < labels.size(); ++i)
    text_ += fmt::format("{}{}=\"{}\"", i == 0 ? "{" : ",", labels[i].first, label_text(labels[i].second));
  text_ += fmt::format("{} {:.17g}\n", labels.empty() ? "" : "}", value);
}

std::string Exposition::finish() {
  if (open_metrics_) text_ += "# EOF\n";
  return std::move(text_);
}

std::map<std::string, std::string> fold(const std::map<std::string, uint64_t>& bytes_of_units, size_t most) {
  std::vector<std::pair<uint64_t, const std::string*>> units;
  for (const auto& [unit, bytes] : bytes_of_units) units.emplace_back(bytes, &unit);
  std::sort(units.begin(), units.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : *a.second < *b.second;
  });
  std::map<std::string, std::string> labels;
  for (size_t i = 0; i < units.size(); ++i)
    labels[*units[i].second] = i < most ? *units[i].second : std::string(kOther);
  return labels;
}

}  // namespace memwhy::agent
