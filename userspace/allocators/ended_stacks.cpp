// SPDX-License-Identifier: Apache-2.0
#include "allocators/ended_stacks.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "allocators/glibc_layout.h"

namespace memwhy::allocators {
namespace {

constexpr remote::Limits kStacksLimits = {
    .read_bytes = 1u << 30, .kept_bytes = 64 << 20, .cpu_ns = 300'000'000, .time_ns = 2'000'000'000};
constexpr size_t kStacksAtOnce = 64;
constexpr uint64_t kLeastStack = 16 << 10, kLargestThreadStack = 1 << 30;

using LastPage = std::array<std::byte, kPageBytes>;

template <typename T>
T at(const LastPage& page, size_t offset) {
  T value{};
  std::memcpy(&value, page.data() + offset, sizeof value);
  return value;
}

// The last page of a stack has the control block; nothing of the thread lies after it.
bool has_ended(const LastPage& page, uint64_t address) {
  for (size_t offset = 0; offset + kTcbTid + sizeof(uint32_t) <= page.size(); offset += 16) {
    if (at<uint64_t>(page, offset) != address + offset ||
        at<uint64_t>(page, offset + kTcbSelf) != address + offset)
      continue;
    return at<uint32_t>(page, offset + kTcbTid) == 0;
  }
  return false;
}

std::vector<AddressRange> possible_stacks(const std::vector<events::Vma>& vmas) {
  std::vector<AddressRange> out;
  for (size_t i = 0; i < vmas.size(); ++i)
    if (may_be_stack(vmas, i)) out.push_back(vmas[i].range);
  return out;
}

}  // namespace

bool may_be_stack(const std::vector<events::Vma>& vmas, size_t i) {
  const events::Vma& vma = vmas[i];
  if (i == 0 || !HeapMemory::private_anonymous(vma) || vma.name.starts_with("[stack") ||
      vma.name == "[heap]" || vma.range.bytes() < kLeastStack || vma.range.bytes() > kLargestThreadStack)
    return false;
  const events::Vma& below = vmas[i - 1];
  return below.range.end == vma.range.start && !below.read && !below.write && !below.exec && below.inode == 0;
}

events::RuntimePages EndedStacks::read(const events::PageScan& scan) {
  events::RuntimePages out;
  out.space = scan.space;
  out.scan = scan.scan;
  out.runtime = kThreadsRuntime;
  const Result<std::vector<events::Vma>> vmas = vmas_();
  if (!vmas) {
    out.problem = "the process is gone";
    return out;
  }
  remote::Budget budget(kStacksLimits, stop_);
  remote::MeteredMemory memory(*memory_, budget);
  const std::vector<AddressRange> stacks = possible_stacks(*vmas);
  out.trust = events::Trust::kVerified;
  out.uses = {"ended"};
  std::vector<LastPage> pages(kStacksAtOnce);
  std::vector<remote::Piece> pieces(kStacksAtOnce);
  std::vector<AddressRange> ended;
  size_t first = 0;
  for (; first < stacks.size(); first += kStacksAtOnce) {
    const size_t n = std::min(kStacksAtOnce, stacks.size() - first);
    for (size_t i = 0; i < n; ++i) pieces[i] = {stacks[first + i].end - kPageBytes, pages[i]};
    if (!memory.step(n) || !memory.read_each(std::span(pieces).first(n))) break;
    for (size_t i = 0; i < n; ++i)
      if (pieces[i].there && has_ended(pages[i], stacks[first + i].end - kPageBytes))
        ended.push_back(stacks[first + i]);
  }
  if (first < stacks.size())
    finish_from_last(std::span(stacks).subspan(first), budget, ended);
  else
    whole_ = true, ended_ = ended;
  for (const AddressRange& stack : ended)
    out.runs.push_back(
        {stack.start >> kPageShift, static_cast<uint32_t>(stack.bytes() >> kPageShift), 0, 0, 0, 0});
  return out;
}

void EndedStacks::finish_from_last(std::span<const AddressRange> stacks, const remote::Budget& budget,
                                   std::vector<AddressRange>& ended) {
  for (const AddressRange& stack : stacks)
    if (std::binary_search(ended_.begin(), ended_.end(), stack)) ended.push_back(stack);
  if (!whole_ && !std::exchange(told_, true))
    notices_.push_back(
        fmt::format("Its stacks of threads take more {} than one reading may: some of threads that "
                    "ended are not told from other mappings.",
                    budget.spent_name()));
}

}  // namespace memwhy::allocators
