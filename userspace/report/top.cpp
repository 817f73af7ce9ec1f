// SPDX-License-Identifier: Apache-2.0
#include "report/top.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "base/whole.h"
#include "report/layout.h"

namespace memwhy::report {
namespace {

constexpr uint64_t kTopUnit = uint64_t{1} << 20;
constexpr double kRising = 1 << 20;  // bytes a minute that are worth a colour

std::string mib(uint64_t bytes) { return tenths_text(tenths({bytes}, kTopUnit).front()); }

std::string mib_per_min(const std::optional<double>& bytes_per_s) {
  if (!bytes_per_s) return "?";
  const std::string number = mib(nearest(std::abs(*bytes_per_s) * 60));
  return number == "0.0" ? number : (*bytes_per_s < 0 ? "-" : "+") + number;
}

bool any_go(const TopView& view) {
  return std::any_of(view.rows.begin(), view.rows.end(),
                     [](const TopRow& row) { return row.go.has_value(); });
}
std::string go_text(const TopRow& row) {
  return row.go ? fmt::format("  {} unseen, {} idle", mib(row.unseen_bytes()), mib(row.go->idle_bytes)) : "";
}

std::string titled(std::string_view title, bool ordered) {
  return ordered ? fmt::format("*{}", title) : std::string(title);
}

}  // namespace

std::string_view word(TopOrder order) {
  static constexpr std::array<std::string_view, kTopOrders> kWords = {"unseen", "anon", "rss", "growth"};
  return kWords[static_cast<size_t>(order)];
}

bool before(TopOrder order, const TopRow& a, const TopRow& b) {
  switch (order) {
    case TopOrder::kUnseen:
      return a.unseen_bytes() > b.unseen_bytes();
    case TopOrder::kAnon:
      return a.anon_bytes > b.anon_bytes;
    case TopOrder::kRss:
      return a.rss_bytes > b.rss_bytes;
    case TopOrder::kGrowth:
      break;
  }
  return a.growth_bytes_per_s.value_or(0) > b.growth_bytes_per_s.value_or(0);
}

std::string to_text(const TopView& view, const Style& style) {
  Page page(style);
  page.line(cut(fmt::format("{} processes, {} resident, of that {} anonymous", grouped(view.processes),
                            human_bytes(view.rss_bytes), human_bytes(view.anon_bytes)),
                style.width),
            Ink::kBold);
  page.line(
      cut(fmt::format(
              "{:>7}  {:>9}  {:>9}  {:>8}  name{}", "pid", titled("anon MiB", view.order == TopOrder::kAnon),
              titled("RSS MiB", view.order == TopOrder::kRss),
              titled("MiB/min", view.order == TopOrder::kGrowth),
              any_go(view) ? titled("  MiB of Go:", view.order == TopOrder::kUnseen) + " unseen, idle" : ""),
          style.width),
      Ink::kDim);
  for (const TopRow& row : view.rows) {
    const bool rises = row.growth_bytes_per_s && *row.growth_bytes_per_s * 60 >= kRising;
    page.line(
        cut(fmt::format("{:>7}  {:>9}  {:>9}  {:>8}  {}{}", row.pid, mib(row.anon_bytes), mib(row.rss_bytes),
                        mib_per_min(row.growth_bytes_per_s), escape(row.comm), go_text(row)),
            style.width),
        rises ? Ink::kYellow : Ink::kPlain);
  }
  return page.take();
}

std::string to_json(const TopView& view, int64_t realtime_ns) {
  using Object = nlohmann::ordered_json;
  Object out = {{"format", "memwhy.top/1"},    {"time_ns", realtime_ns},        {"processes", view.processes},
                {"rss_bytes", view.rss_bytes}, {"anon_bytes", view.anon_bytes}, {"order", word(view.order)},
                {"rows", Object::array()}};
  for (const TopRow& row : view.rows)
    out["rows"].push_back(
        {{"pid", row.pid},
         {"comm", row.comm},
         {"rss_bytes", row.rss_bytes},
         {"anon_bytes", row.anon_bytes},
         {"growth_bytes_per_s",
          row.growth_bytes_per_s ? Object(std::round(*row.growth_bytes_per_s * 10) / 10) : Object(nullptr)},
         {"unseen_bytes", row.unseen_bytes()},
         {"go", !row.go ? Object(nullptr)
                        : Object({{"live_bytes", row.go->live_bytes},
                                  {"idle_bytes", row.go->idle_bytes},
                                  {"goal_bytes", row.go->goal_bytes}})}});
  return out.dump(-1, ' ', true, Object::error_handler_t::replace) + "\n";
}

}  // namespace memwhy::report
