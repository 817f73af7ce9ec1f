// SPDX-License-Identifier: Apache-2.0
#include "explain/history.h"

#include <algorithm>

namespace memwhy::explain {
namespace {

constexpr size_t kDoubtsMost = 2048;        // for each sample; the largest ones
constexpr uint64_t kDoubtLeast = 64 << 10;  // smaller ones are not worth their memory

void add_to(OwnerBytes& into, const OwnerBytes& more) {
  for (size_t i = 0; i < kOwnerCount; ++i) into[i] += more[i];
}

}  // namespace

void History::add(Sample sample, std::vector<Doubt> doubts) {
  std::erase_if(doubts, [](const Doubt& doubt) { return doubt.bytes < kDoubtLeast; });
  if (doubts.size() > kDoubtsMost) {
    std::nth_element(doubts.begin(), doubts.begin() + kDoubtsMost, doubts.end(),
                     [](const Doubt& a, const Doubt& b) { return a.bytes > b.bytes; });
    doubts.resize(kDoubtsMost);
  }
  if (entries_.size() > 1 && entries_.back().number % stride_ != 0) {
    add_to(sample.arrived, entries_.back().sample.arrived);
    add_to(sample.left, entries_.back().sample.left);
    entries_.pop_back();
  }
  entries_.push_back({sample, std::move(doubts), scans_++});
  if (entries_.size() > kHistorySamples) thin();
}

void History::restart() {
  if (entries_.empty()) return;
  entries_.erase(entries_.begin(), entries_.end() - 1);
  Entry& first = entries_.front();
  first.number = 0;
  first.sample.arrived = first.sample.left = {};
  std::erase_if(first.doubts, [](const Doubt& doubt) { return doubt.arrived; });
  scans_ = stride_ = 1;
}

void History::thin() {
  stride_ *= 2;
  std::vector<Entry> kept;
  OwnerBytes arrived = {}, left = {};
  for (size_t i = 0; i < entries_.size(); ++i) {
    Entry& entry = entries_[i];
    add_to(arrived, entry.sample.arrived);
    add_to(left, entry.sample.left);
    if (entry.number % stride_ != 0 && i + 1 != entries_.size()) continue;
    entry.sample.arrived = arrived;
    entry.sample.left = left;
    arrived = left = {};
    kept.push_back(std::move(entry));
  }
  entries_ = std::move(kept);
}

std::vector<Sample> History::settled(const Owners& owners) const {
  std::vector<Sample> samples;
  samples.reserve(entries_.size());
  for (const Entry& entry : entries_) {
    Sample& sample = samples.emplace_back(entry.sample);
    for (const Doubt& doubt : entry.doubts) {
      std::optional<Owner> owner = owners.learned(doubt.address);
      if (!owner || *owner == doubt.owner) continue;
      // TSan's blocks share mappings with tables of the Go runtime; a heap is the heap, whoever writes to it.
      if (doubt.own_stack && *owner == Owner::kRaceInternal) continue;
      // And the kernel merges the program's own mappings with them.
      if (doubt.by_program && *owner == Owner::kGoRuntimeMetadata) continue;
      OwnerBytes& bytes = doubt.arrived ? sample.arrived : sample.bytes;
      uint64_t moved = std::min(doubt.bytes, of(bytes, doubt.owner));
      of(bytes, doubt.owner) -= moved;
      of(bytes, *owner) += moved;
    }
  }
  return samples;
}

}  // namespace memwhy::explain
