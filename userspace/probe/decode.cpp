// SPDX-License-Identifier: Apache-2.0
#include "probe/decode.h"

#include <cstring>

namespace memwhy::probe {
namespace {

struct Names {
  const char* kind;
  const char* loss;
};

constexpr Names kNames[MW_EVENT_KINDS] = {
    {"none", "event"},
    {"vma_map", "mapping"},
    {"vma_unmap", "removal"},
    {"vma_move", "removal"},
    {"vma_brk", "mapping"},
    {"vma_advise", "advice"},
    {"space_fork", "fork"},
    {"space_exec", "exec"},
    {"space_end", "space_end"},
    {"process_exit", "exit"},
    {"oom_victim", "oom"},
    {"go_call", "go_call"},
    {"allocation", "allocation"},
};

AddressRange range(uint64_t start, uint64_t bytes) { return {start, start + bytes}; }

// Copies the record out of the ring, which promises 8-byte alignment only.
template <typename T>
bool take(const void* record, size_t bytes, T& value) {
  if (bytes < sizeof value) return false;
  std::memcpy(&value, record, sizeof value);
  return true;
}

class Decoder {
 public:
  Decoder(const mw_event_header& header, StackTable& stacks, std::vector<events::Event>& out, uint32_t port)
      : header_(header), stacks_(stacks), out_(out), space_{header.space}, port_(port) {}

  void operator()(const mw_vma_map& r) {
    add(events::VmaMapped{space_, r.h.tid, range(r.start, r.bytes), r.prot, r.flags, r.fd, r.offset,
                          stack(r.stack), r.h.tick});
  }
  void operator()(const mw_vma_unmap& r) {
    if (r.h.kind == MW_EVENT_VMA_ADVISE)
      add(events::VmaAdvised{space_, r.h.tid, range(r.start, r.bytes), r.advice, stack(r.stack), r.h.tick});
    else
      add(events::VmaUnmapped{space_, r.h.tid, range(r.start, r.bytes), static_cast<events::UnmapWhy>(r.why),
                              r.advice, stack(r.stack), r.h.tick});
  }
  void operator()(const mw_vma_move& r) {
    add(events::VmaMoved{space_, r.h.tid, range(r.old_start, r.old_bytes), range(r.new_start, r.new_bytes),
                         stack(r.stack), r.h.tick});
  }
  void operator()(const mw_vma_brk& r) {
    add(events::HeapGrown{space_, r.h.tid, {r.old_end, r.new_end}, stack(r.stack), r.h.tick});
  }
  void operator()(const mw_space_fork& r) {
    if (r.child_space == 0) return add(events::Loss{space_, "fork", 1});
    start(SpaceId{r.child_space}, r.child_tgid, events::StartHow::kForked, space_);
  }
  void operator()(const mw_space_exec& r) {
    if (r.new_space == 0) return add(events::Loss{space_, "exec", 1});
    // A vfork child leaves its parent's space: it replaces nothing.
    start(SpaceId{r.new_space}, r.h.tgid, events::StartHow::kExeced,
          r.flags & MW_EXEC_BORROWED ? SpaceId::kNone : space_);
  }
  void operator()(const mw_space_end& r) {
    add(events::SpaceEnd{space_, r.why == MW_END_EXEC ? events::EndWhy::kExeced : events::EndWhy::kExited});
  }
  void operator()(const mw_process_exit& r) {
    events::ProcessExit exit{space_, r.h.tgid, r.exit_code, std::nullopt};
    constexpr int kFile = 0, kAnon = 1, kShmem = 3;  // 2 is swap entries
    if (r.rss_pages[kFile] != ~0ull)
      exit.rss_bytes = (r.rss_pages[kFile] + r.rss_pages[kAnon] + r.rss_pages[kShmem]) << kPageShift;
    add(exit);
  }
  void operator()(const mw_oom_victim& r) { add(events::OomVictim{space_, r.h.tgid}); }
  void operator()(const mw_go_call& r) {
    if (r.function < MW_GO_FUNCTIONS)
      add(events::GoCall{space_, r.h.tid, static_cast<events::GoFunction>(r.function), r.bytes,
                         stack(r.stack), r.h.tick});
  }
  void operator()(const mw_allocation& r) {
    add(events::AllocationCall{space_, r.h.tid, r.bytes, stack(r.stack), r.h.tick});
  }

 private:
  StackId stack(uint32_t slot) {
    std::vector<events::Stack> fresh;
    // Another CPU may have claimed the slot and not finished writing; that takes it less than a microsecond.
    const Listener listener(space_, port_);
    std::optional<StackId> id = stacks_.resolve(slot, listener, fresh);
    for (int tries = 0; !id && tries < 1000; ++tries) id = stacks_.resolve(slot, listener, fresh);
    for (events::Stack& s : fresh) add(std::move(s));
    return id.value_or(StackId::kNone);
  }
  void start(SpaceId space, Pid tgid, events::StartHow how, SpaceId parent) {
    events::SpaceStart s;
    s.space = space;
    s.tgid = tgid;
    s.how = how;
    s.parent = parent;
    add(std::move(s));
  }
  void add(events::Payload payload) { out_.push_back({header_.time_ns, std::move(payload)}); }

  mw_event_header header_;
  StackTable& stacks_;
  std::vector<events::Event>& out_;
  SpaceId space_;
  uint32_t port_;
};

template <typename T>
bool decode_as(const void* record, size_t bytes, Decoder& decoder) {
  T value;
  if (!take(record, bytes, value)) return false;
  decoder(value);
  return true;
}

}  // namespace

bool decode(const void* record, size_t bytes, StackTable& stacks, std::vector<events::Event>& out,
            uint32_t port) {
  mw_event_header header;
  if (!take(record, bytes, header)) return false;
  Decoder decoder(header, stacks, out, port);
  switch (header.kind) {
    case MW_EVENT_VMA_MAP:
      return decode_as<mw_vma_map>(record, bytes, decoder);
    case MW_EVENT_VMA_UNMAP:
    case MW_EVENT_VMA_ADVISE:
      return decode_as<mw_vma_unmap>(record, bytes, decoder);
    case MW_EVENT_VMA_MOVE:
      return decode_as<mw_vma_move>(record, bytes, decoder);
    case MW_EVENT_VMA_BRK:
      return decode_as<mw_vma_brk>(record, bytes, decoder);
    case MW_EVENT_SPACE_FORK:
      return decode_as<mw_space_fork>(record, bytes, decoder);
    case MW_EVENT_SPACE_EXEC:
      return decode_as<mw_space_exec>(record, bytes, decoder);
    case MW_EVENT_SPACE_END:
      return decode_as<mw_space_end>(record, bytes, decoder);
    case MW_EVENT_PROCESS_EXIT:
      return decode_as<mw_process_exit>(record, bytes, decoder);
    case MW_EVENT_OOM_VICTIM:
      return decode_as<mw_oom_victim>(record, bytes, decoder);
    case MW_EVENT_GO_CALL:
      return decode_as<mw_go_call>(record, bytes, decoder);
    case MW_EVENT_ALLOCATION:
      return decode_as<mw_allocation>(record, bytes, decoder);
    default:
      return false;
  }
}

const char* kind_name(mw_event_kind kind) { return kNames[kind].kind; }
const char* loss_name(mw_event_kind kind) { return kNames[kind].loss; }

}  // namespace memwhy::probe
