// SPDX-License-Identifier: Apache-2.0
#include "goruntime/reach.h"

#include <algorithm>
#include <cstddef>
#include <unordered_map>

#include "goruntime/words.h"

namespace memwhy::goruntime {

namespace {

using Bytes = std::vector<std::byte>;
using Color = uint32_t;

constexpr Color kStop = 0;    // never walked through: g, m, p
constexpr Color kShared = 1;  // reached from globals, or by two groups
constexpr Color kFirstGroup = 2;
constexpr uint64_t kBlockBytes = 1 << 20;
constexpr uint64_t kMostStackBytes = 1 << 30;  // the runtime's own limit; more is damage
constexpr size_t kMostSpecials = 4096;

struct Object {
  uint64_t address = 0, bytes = 0;
  const Span* span = nullptr;
};

class Walk {
 public:
  Walk(remote::RemoteMemory& memory, const Globals& globals, const SpanTable& spans,
       const ReachBudget& budget)
      : memory_(memory), globals_(globals), spans_(spans.spans), budget_(budget) {}

  Reach run(const std::vector<Goroutine>& goroutines, const std::vector<std::vector<size_t>>& groups) {
    std::vector<bool> grouped(goroutines.size());
    for (const auto& group : groups)
      for (const size_t i : group) grouped[i] = true;
    stop_at_scheduler(goroutines);
    for (const AddressRange& range : globals_.roots) scan(range, kShared, 0);
    for (size_t i = 0; i < goroutines.size(); ++i)
      if (!grouped[i]) scan_goroutine(goroutines[i], kShared);
    drain();
    for (size_t k = 0; k < groups.size(); ++k) {
      for (const size_t i : groups[k]) scan_goroutine(goroutines[i], static_cast<Color>(kFirstGroup + k));
      drain();
    }
    return collect(groups.size());
  }

 private:
  struct Seen {
    Color color = 0;
    uint64_t goroutine = 0;
  };
  struct Work {
    Object object;
    Color color = 0;
    uint64_t goroutine = 0;
  };

  const Span* span_of(uint64_t address) const {
    auto after = std::upper_bound(spans_.begin(), spans_.end(), address,
                                  [](uint64_t value, const Span& span) { return value < span.address; });
    if (after == spans_.begin()) return nullptr;
    const Span& span = *std::prev(after);
    const bool inside = address - span.address < span.elements * span.element_bytes;
    return span.kind == SpanKind::kObjects && inside ? &span : nullptr;
  }

  bool object_of(uint64_t address, Object& out) const {
    const Span* span = span_of(address);
    if (span == nullptr) return false;
    const uint64_t slot = (address - span->address) / span->element_bytes;
    if ((span->allocated_bits[slot / 64] >> (slot % 64) & 1) == 0) return false;
    out = {span->address + slot * span->element_bytes, span->element_bytes, span};
    return true;
  }

  void stop_at(uint64_t address) {
    Object object;
    if (object_of(address, object)) seen_[object.address] = {kStop, 0};
  }

  void stop_at_scheduler(const std::vector<Goroutine>& goroutines) {
    const Layout& layout = *globals_.layout;
    if (Bytes header(24); globals_.allgs && memory_.read(*globals_.allgs, header)) {
      const Slice all = slice(header, 0);
      stop_at(all.data);
      if (all.length < budget_.objects)
        if (Result<std::vector<uint64_t>> every = remote::read_array<uint64_t>(memory_, all.data, all.length))
          for (const uint64_t g : *every) stop_at(g);
    }
    for (const Goroutine& goroutine : goroutines)
      if (Result<uint64_t> m = remote::read_value<uint64_t>(memory_, goroutine.address + layout.g.m.offset);
          m)
        stop_at(*m);
    if (Bytes header(24); globals_.allp && memory_.read(*globals_.allp, header)) {
      const Slice all = slice(header, 0);
      if (Result<std::vector<uint64_t>> every =
              remote::read_array<uint64_t>(memory_, all.data, std::min<uint64_t>(all.length, 4096)))
        for (const uint64_t p : *every) stop_at(p);
    }
  }

  void scan_goroutine(const Goroutine& goroutine, Color color) {
    if (goroutine.stack.empty() || goroutine.stack.bytes() > kMostStackBytes) return;
    const bool known =
        goroutine.status != GoroutineStatus::kRunning && goroutine.stack.contains(goroutine.stack_pointer);
    const AddressRange live = {known ? goroutine.stack_pointer & ~uint64_t{7} : goroutine.stack.start,
                               goroutine.stack.end};
    scan(live, color, goroutine.id);
  }

  // Every word of a range, in blocks.
  void scan(AddressRange range, Color color, uint64_t goroutine) {
    for (uint64_t at = range.start; at < range.end && !exhausted();) {
      Bytes bytes(std::min(range.end - at, kBlockBytes));
      Result<uint64_t> there = memory_.read_present(at, bytes);
      if (!there) return;
      bytes_read_ += *there;
      at += bytes.size();
      if (*there == 0) continue;
      for (size_t i = 0; i + 8 <= bytes.size(); i += 8) visit(word(bytes, i), color, goroutine);
    }
  }

  void visit(uint64_t value, Color color, uint64_t goroutine) {
    if (value < lowest() || value >= highest()) return;
    Object object;
    if (!object_of(value, object)) return;
    auto [at, fresh] = seen_.try_emplace(object.address, Seen{color, goroutine});
    if (!fresh) {
      Seen& seen = at->second;
      if (seen.color == kStop || seen.color == kShared || seen.color == color) return;
      seen.color = color = kShared;  // two groups reach it, and what it reaches
    }
    if (!object.span->noscan) work_.push_back({object, color, goroutine});
  }

  void drain() {
    while (!work_.empty() && !exhausted()) {
      const Work work = work_.back();
      work_.pop_back();
      scan({work.object.address, work.object.address + work.object.bytes}, work.color, work.goroutine);
    }
    if (!work_.empty()) finished_ = false;
    work_.clear();
  }

  bool exhausted() {
    if (seen_.size() < budget_.objects && bytes_read_ < budget_.read_bytes) return false;
    finished_ = false;
    return true;
  }

  uint64_t lowest() const { return spans_.empty() ? ~uint64_t{0} : spans_.front().address; }
  uint64_t highest() const { return spans_.empty() ? 0 : spans_.back().address + spans_.back().bytes(); }

  Reach collect(size_t groups) {
    Reach out;
    out.groups.resize(groups);
    for (const auto& [address, seen] : seen_) {
      if (seen.color < kFirstGroup) continue;
      GroupReach& group = out.groups[seen.color - kFirstGroup];
      const Span* span = span_of(address);
      const uint64_t bytes = span->large ? span->bytes() : span->element_bytes;
      group.exclusive_bytes += bytes;
      ++group.exclusive_objects;
      if (bytes >= kLargeBytes) group.large.push_back({address, bytes, seen.goroutine, {}});
    }
    for (GroupReach& group : out.groups) {
      std::sort(group.large.begin(), group.large.end(), [](const KeptObject& a, const KeptObject& b) {
        return a.bytes != b.bytes ? a.bytes > b.bytes : a.address < b.address;
      });
      if (group.large.size() > kMostLarge) group.large.resize(kMostLarge);
      for (KeptObject& object : group.large) object.allocated_at = allocation_stack(object.address);
    }
    out.finished = finished_;
    out.objects_walked = seen_.size();
    out.bytes_read = bytes_read_;
    return out;
  }

  // The profile's record of this very object, from its span's list of specials.
  std::vector<uint64_t> allocation_stack(uint64_t address) {
    const Layout& layout = *globals_.layout;
    const Span* span = span_of(address);
    uint64_t at = span == nullptr ? 0 : span->specials;
    Bytes bytes(std::max<uint32_t>(layout.special.size, layout.special_profile.bucket.offset + 8));
    for (size_t n = 0; at != 0 && n < kMostSpecials; ++n) {
      if (!memory_.read(at, bytes)) return {};
      if (field(bytes, layout.special.kind) == layout.special_profile_kind &&
          span->address + field(bytes, layout.special.offset) == address)
        return bucket_stack(field(bytes, layout.special_profile.bucket));
      at = field(bytes, layout.special.next);
    }
    return {};
  }

  std::vector<uint64_t> bucket_stack(uint64_t address) {
    const auto& b = globals_.layout->bucket;
    Bytes header(b.size);
    if (!memory_.read(address, header)) return {};
    const uint64_t frames = field(header, b.nstk);
    if (frames == 0 || frames > 1024) return {};
    Result<std::vector<uint64_t>> stack = remote::read_array<uint64_t>(memory_, address + b.size, frames);
    if (!stack || bucket_hash(*stack, field(header, b.object_size)) != field(header, b.hash)) return {};
    return std::move(*stack);
  }

  remote::RemoteMemory& memory_;
  const Globals& globals_;
  const std::vector<Span>& spans_;
  const ReachBudget& budget_;
  std::unordered_map<uint64_t, Seen> seen_;
  std::vector<Work> work_;
  uint64_t bytes_read_ = 0;
  bool finished_ = true;
};

}  // namespace

Reach reach(remote::RemoteMemory& memory, const Globals& globals, const SpanTable& spans,
            const std::vector<Goroutine>& goroutines, const std::vector<std::vector<size_t>>& groups,
            const ReachBudget& budget) {
  return Walk(memory, globals, spans, budget).run(goroutines, groups);
}

}  // namespace memwhy::goruntime
