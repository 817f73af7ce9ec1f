// SPDX-License-Identifier: Apache-2.0
#include "goruntime/goroutines.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>
#include <limits>
#include <map>
#include <utility>

#include "goruntime/words.h"
#include "remote/page_reader.h"

namespace memwhy::goruntime {

namespace {

using Bytes = std::vector<std::byte>;
using remote::PageReader;

constexpr uint64_t kMostGoroutines = 1 << 24;
constexpr uint64_t kMostAddresses = 1 << 22;  // kept of the list, 32 MiB; the same one often counts once
constexpr uint64_t kStep = 1 << 17;           // addresses that are read at once
constexpr uint64_t kScanBit = 0x1000;         // _Gscan
constexpr uint64_t kMostStackRead = 64 << 10;
constexpr size_t kMostChain = 128;
constexpr size_t kChunk = 2048;      // goroutines that are read together
constexpr size_t kMostPages = 1024;  // of their stacks, 4 MiB

bool parked(GoroutineStatus status) {
  return waits(status) || status == GoroutineStatus::kRunnable || status == GoroutineStatus::kPreempted;
}

bool dead(GoroutineStatus status) {
  return status == GoroutineStatus::kDead || status == GoroutineStatus::kExtraDead;
}

void sort_unique(std::vector<uint64_t>& values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
}

// Without its stack.
GoroutineKind decode_kind(const Layout& layout, std::span<const std::byte> bytes) {
  const auto& g = layout.g;
  GoroutineKind out;
  out.status = static_cast<GoroutineStatus>(field(bytes, g.atomicstatus) & ~kScanBit);
  out.created_at = field(bytes, g.gopc);
  out.entry = field(bytes, g.startpc);
  if (!waits(out.status)) return out;
  const uint64_t reason = field(bytes, g.waitreason);
  if (reason < std::size(layout.wait_reasons)) out.reason = &layout.wait_reasons[reason];
  return out;
}

// Without its kind.
Goroutine decode(const Layout& layout, uint64_t address, std::span<const std::byte> bytes) {
  const auto& g = layout.g;
  Goroutine out;
  out.address = address;
  out.id = static_cast<uint32_t>(field(bytes, g.goid));
  const uint64_t low = field(bytes, g.stack_lo), high = field(bytes, g.stack_hi);
  const uint64_t sp = field(bytes, g.sched_sp);
  if (low < high && high - low <= std::numeric_limits<uint32_t>::max()) {
    out.stack_start = low;
    out.stack_bytes = static_cast<uint32_t>(high - low);
    if (out.stack().contains(sp)) out.used_bytes = static_cast<uint32_t>(high - sp);
  }
  return out;
}

class ListReader {
 public:
  ListReader(remote::RemoteMemory& memory, const Globals& globals)
      : memory_(memory),
        globals_(globals),
        layout_(*globals.layout),
        gs_(memory),
        stacks_(memory),
        again_(memory),
        g_(layout_.g.size) {}

  Result<GoroutineList> read() {
    if (Status status = read_addresses(); !status) return std::move(status).error();
    out_.goroutines.reserve(out_.all.size());  // takes memory as it is filled
    for (size_t at = 0; at < out_.all.size(); at += kChunk) {
      const size_t end = std::min(out_.all.size(), at + kChunk);
      if (!memory_.step((end - at) / 64) || !memory_.keep((end - at) * sizeof(Goroutine))) {
        out_.cut += out_.all.size() - at;
        break;
      }
      read_chunk(std::span(out_.all).subspan(at, end - at));
      if (gs_.gone() || stacks_.gone() || again_.gone())
        return Error(ErrorCode::kTargetGone, "the address space is gone");
    }
    out_.unread += out_.cut;
    sort_unique(out_.threads);
    return std::move(out_);
  }

 private:
  // Of a parked goroutine, until its stack was read.
  struct Saved {
    size_t index = 0;  // in out_.goroutines
    GoroutineKind kind;
    uint64_t id = 0, status = 0, sp = 0, pc = 0, bp = 0;  // as they stand in its g
  };

  Status read_addresses() {
    Bytes header(24);
    if (Status status = memory_.read(*globals_.allgs, header); !status) return status;
    const Slice all = slice(header, 0);
    if (all.length > kMostGoroutines)
      return Error(ErrorCode::kDamaged, "the Go runtime's list of goroutines makes no sense");
    out_.list = all.data;
    std::vector<uint64_t>& list = out_.all;
    size_t unique_at = kMostAddresses / 2;
    for (uint64_t at = 0; at < all.length; at += kStep) {
      Result<std::vector<uint64_t>> part =
          remote::read_array<uint64_t>(memory_, all.data + 8 * at, std::min(all.length - at, kStep));
      if (!part) return std::move(part).error();
      memory_.release(part->size() * sizeof(uint64_t));
      list.insert(list.end(), part->begin(), part->end());
      if (list.size() < unique_at) continue;
      sort_unique(list);
      unique_at = std::max<size_t>(unique_at, list.size() + kMostAddresses / 4);
      if (list.size() < kMostAddresses) continue;
      out_.cut += all.length - std::min(all.length, at + kStep);
      break;
    }
    sort_unique(list);
    remove_overlapping();
    static_cast<void>(memory_.keep(list.size() * sizeof(uint64_t)));
    return {};
  }

  // A g is an object of its own.
  void remove_overlapping() {
    uint64_t end = 0;
    const size_t before = out_.all.size();
    std::erase_if(out_.all, [&](uint64_t address) {
      if (address < end || address > ~uint64_t{layout_.g.size}) return true;
      end = address + layout_.g.size;
      return false;
    });
    out_.unread += before - out_.all.size();
  }

  void read_chunk(std::span<const uint64_t> addresses) {
    std::vector<uint64_t> pages;
    for (const uint64_t address : addresses) PageReader::add(pages, address, layout_.g.size);
    gs_.clear();
    gs_.prefetch(std::move(pages));
    saved_.clear();
    for (const uint64_t address : addresses) read_one(address);
    std::vector<uint64_t> wanted;
    size_t from = 0;
    for (size_t k = 0; k < saved_.size(); ++k) {
      const Goroutine& goroutine = out_.goroutines[saved_[k].index];
      PageReader::add(wanted, goroutine.stack_pointer(),
                      std::min<uint64_t>(goroutine.used_bytes, kMostStackRead));
      if (wanted.size() < kMostPages && k + 1 < saved_.size()) continue;
      read_stacks(std::span(saved_).subspan(from, k + 1 - from), std::exchange(wanted, {}));
      from = k + 1;
    }
  }

  void read_one(uint64_t address) {
    if (!gs_.copy(address, g_)) {
      ++out_.unread;
      return;
    }
    GoroutineKind kind = decode_kind(layout_, g_);
    if (dead(kind.status)) return;
    const auto& g = layout_.g;
    if (const uint64_t m = field(g_, g.m); m != 0) out_.threads.push_back(m);
    Goroutine& goroutine = out_.goroutines.emplace_back(decode(layout_, address, g_));
    if (waits(kind.status)) goroutine.waiting_since_ns = field(g_, g.waitsince);
    if (parked(kind.status)) {
      saved_.push_back({out_.goroutines.size() - 1, kind, field(g_, g.goid), field(g_, g.atomicstatus),
                        field(g_, g.sched_sp), field(g_, g.sched_pc), field(g_, g.sched_bp)});
      return;
    }
    if (kind.status == GoroutineStatus::kSyscall) {
      frames_.assign(1, field(g_, g.syscallpc));
      kind.known_frames = stack_of_frames();
    }
    goroutine.kind = number_of(kind);
  }

  void read_stacks(std::span<const Saved> some, std::vector<uint64_t> pages) {
    stacks_.clear();
    stacks_.prefetch(std::move(pages));
    std::vector<uint64_t> of_gs;
    for (const Saved& saved : some)
      PageReader::add(of_gs, out_.goroutines[saved.index].address, layout_.g.size);
    again_.clear();
    again_.prefetch(std::move(of_gs));
    for (const Saved& saved : some) {
      Goroutine& goroutine = out_.goroutines[saved.index];
      GoroutineKind kind = saved.kind;
      // It may have run on in between: then its stack is not the one that was read.
      if (again_.copy(goroutine.address, g_) && field(g_, layout_.g.goid) == saved.id &&
          field(g_, layout_.g.sched_sp) == saved.sp && field(g_, layout_.g.atomicstatus) == saved.status) {
        unwind(goroutine, saved);
        kind.known_frames = stack_of_frames();
      }
      goroutine.kind = number_of(kind);
    }
  }

  // Frame 0 is sched.pc (inside gopark) and sched.bp is its frame pointer, in every release.
  void unwind(const Goroutine& goroutine, const Saved& saved) {
    frames_.assign(1, saved.pc);
    const uint64_t sp = saved.sp;
    const uint64_t bytes = std::min<uint64_t>(goroutine.used_bytes, kMostStackRead);
    for (uint64_t bp = saved.bp;
         frames_.size() < kMostChain && bp >= sp && bytes >= 16 && bp - sp <= bytes - 16;) {
      std::array<uint64_t, 2> frame{};  // {next, return address}
      if (!stacks_.copy(bp, std::as_writable_bytes(std::span(frame)))) break;
      if (frame[1] < globals_.min_pc || frame[1] > globals_.max_pc) break;
      frames_.push_back(frame[1]);
      if (frame[0] <= bp) break;
      bp = frame[0];
    }
  }

  // The one place of these frames. nullptr: no room for more stacks.
  const std::vector<uint64_t>* stack_of_frames() {
    const auto known = out_.stacks.find(frames_);
    if (known != out_.stacks.end()) return &*known;
    if (!memory_.keep(kStackCost + frames_.size() * sizeof(uint64_t))) return nullptr;
    return &*out_.stacks.insert(frames_).first;
  }

  // Where there is no room for more kinds only its status is told.
  uint32_t number_of(const GoroutineKind& kind) {
    if (last_ < out_.kinds.size() && out_.kinds[last_] == kind) return last_;
    auto known = numbers_.find(kind);
    if (known == numbers_.end()) {
      const GoroutineKind told = memory_.keep(kKindCost) ? kind : GoroutineKind{.status = kind.status};
      known = numbers_.try_emplace(told, static_cast<uint32_t>(out_.kinds.size())).first;
      if (known->second == out_.kinds.size()) out_.kinds.push_back(told);
    }
    return last_ = known->second;
  }

  static constexpr uint64_t kStackCost = 96;  // of a stack besides its frames
  static constexpr uint64_t kKindCost = 144;  // once in the list, and once by its number

  remote::RemoteMemory& memory_;
  const Globals& globals_;
  const Layout& layout_;
  GoroutineList out_;
  PageReader gs_, stacks_, again_;
  Bytes g_;                                    // the one at hand
  std::vector<uint64_t> frames_;               // its stack
  std::vector<Saved> saved_;                   // of the chunk at hand
  std::map<GoroutineKind, uint32_t> numbers_;  // a tree and no hash: the target chooses the creation sites
  uint32_t last_ = 0;                          // the next one is most often of the same kind
};

}  // namespace

Result<GoroutineList> read_goroutines(remote::RemoteMemory& memory, const Globals& globals) {
  if (!globals.allgs) return Error(ErrorCode::kAbsent, "the Go runtime's list of goroutines was not found");
  return ListReader(memory, globals).read();
}

}  // namespace memwhy::goruntime
