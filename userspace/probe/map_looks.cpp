// SPDX-License-Identifier: Apache-2.0
#include "probe/map_looks.h"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>

#include "probe/object.h"

namespace memwhy::probe {
namespace {

// A program that maps and faults all the time still releases its map's lock in between; one that holds it this long holds it
// for good.
constexpr uint32_t kMostLooks = 200;
constexpr timespec kBetweenLooks = {0, 1'000'000};
constexpr int kWalks = 10;  // whoever maps and unmaps the file meanwhile can hide others from one
constexpr uint32_t kAll = (1u << MW_MAPPERS) - 1;

}  // namespace

bool MapLooks::look() {
  Result<std::vector<mw_held>> now = object_->records<mw_held>("maps_held");
  if (!now) return false;
  if (count_++ == 0)
    held_ = *std::move(now);
  else
    std::erase_if(held_, [&](const mw_held& each) {
      return std::ranges::find(*now, each.mm, &mw_held::mm) == now->end();
    });
  return !held_.empty();
}

uint32_t MapLooks::mapping(size_t first) const {
  mw_request& ask = object_->request();
  ask.mm = mm_;
  ask.site = site_;
  ask.mapping = 0;
  for (size_t i = 0; i < MW_MAPPERS; ++i) ask.mappers[i] = first + i < held_.size() ? held_[first + i].mm : 0;
  bool all_seen = false;
  for (int walk = 0; walk < kWalks; ++walk) {
    if (walk > 0) ::nanosleep(&kBetweenLooks, nullptr);
    ask.found = ask.all_seen = 0;
    if (!object_->iterate("file_mappers")) return kAll;
    all_seen = all_seen || ask.all_seen != 0;
  }
  return all_seen ? ask.mapping : kAll;
}

bool MapLooks::only_of_file() {
  std::vector<mw_held> kept;
  for (size_t first = 0; first < held_.size(); first += MW_MAPPERS) {
    const uint32_t bits = mapping(first);
    for (size_t i = 0; i < MW_MAPPERS && first + i < held_.size(); ++i)
      if (held_[first + i].mm == mm_ || (bits >> i & 1) != 0) kept.push_back(held_[first + i]);
  }
  held_ = std::move(kept);
  return !held_.empty();
}

std::optional<std::string> MapLooks::stays_held() {
  while (look() && count_ < kMostLooks) ::nanosleep(&kBetweenLooks, nullptr);
  if (held_.empty() || !only_of_file()) return std::nullopt;
  if (std::ranges::find(held_, mm_, &mw_held::mm) != held_.end()) return "its memory map is locked";
  return fmt::format("the memory map of pid {} is locked, which maps the same file", held_.front().tgid);
}

}  // namespace memwhy::probe
