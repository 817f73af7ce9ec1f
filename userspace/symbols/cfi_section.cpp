// SPDX-License-Identifier: Apache-2.0
#include "symbols/cfi_section.h"

#include <algorithm>

#include "symbols/byte_cursor.h"
#include "symbols/cfi_expression.h"
#include "symbols/cfi_pointer.h"

namespace memwhy::symbols {
namespace {

// Far above what compilers write.
constexpr uint64_t kMostEntryBytes = 256 << 10;
constexpr size_t kMostFunctions = 2 << 20;
constexpr size_t kMostCommons = 256;
constexpr size_t kStepsBack =
    4;  // entries nested in others, or empty ones, before the one that is looked for

// Length, id and where the rest begins.
struct EntryHead {
  uint64_t body = 0, end = 0;  // in the section: of the id, and after the entry
  bool wide = false;
  uint64_t id = 0;
};

std::optional<EntryHead> entry_head(ByteSource& source, const CfiPlace& place, uint64_t at) {
  constexpr uint64_t kLongest = 20;
  if (at >= place.bytes || place.bytes - at < 4) return std::nullopt;
  uint8_t bytes[kLongest] = {};
  const std::span piece(bytes, std::min(kLongest, place.bytes - at));
  if (!source.read_at(place.offset + at, std::as_writable_bytes(piece))) return std::nullopt;
  ByteCursor in(piece);
  EntryHead head;
  uint64_t length = in.number<uint32_t>();
  head.wide = length == 0xffffffff;
  if (head.wide) length = in.number<uint64_t>();
  head.body = at + in.at();
  if (!in.ok() || length > place.bytes - head.body) return std::nullopt;
  head.end = head.body + length;
  if (length == 0) return head;
  const bool wide_id = head.wide && place.debug;
  if (length < (wide_id ? 8 : 4)) return std::nullopt;
  head.id = wide_id ? in.number<uint64_t>() : in.number<uint32_t>();
  return head;
}

bool is_common(const EntryHead& head, const CfiPlace& place) {
  if (!place.debug) return head.id == 0;
  return head.id == (head.wide ? ~uint64_t{0} : 0xffffffff);
}

uint64_t id_bytes(const EntryHead& head, const CfiPlace& place) { return head.wide && place.debug ? 8 : 4; }

std::optional<std::vector<uint8_t>> body_of(ByteSource& source, const CfiPlace& place, const EntryHead& head,
                                            uint64_t most) {
  const uint64_t from = head.body + id_bytes(head, place);
  if (from > head.end || head.end - from > kMostEntryBytes) return std::nullopt;
  return load_array<uint8_t>(source, place.offset + from, std::min(head.end - from, most));
}

// The letters after "z" in order of their data. False: one is unknown, and so is what follows it.
bool read_augmentation(ByteCursor& in, std::string_view letters, CfiCommon& common) {
  for (const char letter : letters) {
    if (letter == 'R') {
      common.pointers = in.number<uint8_t>();
    } else if (letter == 'P') {
      const auto encoding = in.number<uint8_t>();
      if (!encoded_pointer(in, encoding & kPointerForm, 0)) return false;
    } else if (letter == 'L') {
      in.number<uint8_t>();
    } else if (letter == 'S') {
      common.signal = true;
    } else if (letter != 'B') {
      return false;
    }
  }
  return in.ok();
}

}  // namespace

std::optional<uint64_t> CfiSection::section_vaddr(ByteSource& source, const CfiHeaderPlace& header) {
  constexpr size_t kFields = 12;
  if (header.bytes < kFields) return std::nullopt;
  const auto bytes = load_array<uint8_t>(source, header.offset, kFields);
  if (!bytes || (*bytes)[0] != 1) return std::nullopt;
  ByteCursor in(*bytes, 4);
  return encoded_pointer(in, (*bytes)[1], header.vaddr);
}

// The form that all linkers write: the section's address relative to the field, a count of 4 bytes, entries of twice 4
// bytes relative to the header.
bool CfiSection::use_header(ByteSource& source, const CfiHeaderPlace& header) {
  constexpr uint64_t kFields = 12;
  const auto start = load<uint32_t>(source, header.offset);
  const auto count = load<uint32_t>(source, header.offset + 8);
  if (!start || !count || *start != 0x3b031b01 || header.bytes < kFields) return false;
  if (*count == 0 || *count > (header.bytes - kFields) / 8) return false;
  header_ = header;
  table_count_ = *count;
  return true;
}

std::optional<CfiCommon> CfiSection::read_common(ByteSource& source, uint64_t at) const {
  const std::optional<EntryHead> head = entry_head(source, place_, at);
  if (!head || head->end == head->body || !is_common(*head, place_)) return std::nullopt;
  const auto body = body_of(source, place_, *head, kMostEntryBytes);
  if (!body) return std::nullopt;
  ByteCursor in(*body);
  CfiCommon common;
  const auto version = in.number<uint8_t>();
  if (version != 1 && version != 3 && version != 4) return std::nullopt;
  const std::string_view augmentation = in.text();
  if (version == 4) {
    const auto address_bytes = in.number<uint8_t>(), segment_bytes = in.number<uint8_t>();
    if (address_bytes != 8 || segment_bytes != 0) return std::nullopt;
  }
  common.code_unit = in.unsigned_leb();
  common.data_unit = in.signed_leb();
  const uint64_t return_register = version == 1 ? in.number<uint8_t>() : in.unsigned_leb();
  if (!in.ok() || return_register != kDwarfReturn) return std::nullopt;
  if (augmentation.starts_with('z')) {
    common.augmented = true;
    const uint64_t bytes = in.unsigned_leb();
    ByteCursor data(in.take(bytes));
    if (!in.ok() || !read_augmentation(data, augmentation.substr(1), common)) return std::nullopt;
  } else if (!augmentation.empty()) {
    return std::nullopt;
  }
  common.program.assign(body->begin() + static_cast<ptrdiff_t>(in.at()), body->end());
  return common;
}

const CfiCommon* CfiSection::common(ByteSource& source, uint64_t at) {
  const auto known = commons_.find(at);
  if (known != commons_.end()) return &known->second;
  std::optional<CfiCommon> read = read_common(source, at);
  if (!read) return nullptr;
  if (commons_.size() == kMostCommons) commons_.clear();
  return &commons_.emplace(at, *std::move(read)).first->second;
}

std::optional<CfiSection::Entry> CfiSection::entry(ByteSource& source, uint64_t at, bool with_program) {
  const std::optional<EntryHead> head = entry_head(source, place_, at);
  if (!head) return std::nullopt;
  Entry entry;
  entry.next = head->end;
  if (head->end == head->body) return place_.debug ? std::optional(entry) : std::nullopt;
  if (is_common(*head, place_)) return entry;
  if (!place_.debug && head->id > head->body) return entry;
  const CfiCommon* shared = common(source, place_.debug ? head->id : head->body - head->id);
  if (shared == nullptr) return entry;
  constexpr uint64_t kAddresses = 20;  // two of them, the longest
  const auto body = body_of(source, place_, *head, with_program ? kMostEntryBytes : kAddresses);
  if (!body) return entry;
  ByteCursor in(*body);
  const uint64_t base = place_.vaddr + head->body + id_bytes(*head, place_);
  const uint8_t pointers = place_.debug ? 0 : shared->pointers;
  const std::optional<uint64_t> start = encoded_pointer(in, pointers, base);
  const std::optional<uint64_t> bytes = encoded_pointer(in, pointers & kPointerForm, base);
  if (!start || !bytes || *start == 0 || *bytes == 0 || *start + *bytes < *start) return entry;
  entry.function.range = {*start, *start + *bytes};
  entry.is_function = true;
  if (!with_program) return entry;
  if (shared->augmented) in.take(in.unsigned_leb());
  entry.is_function = in.ok();
  if (!in.ok()) return entry;
  entry.function.common = *shared;
  entry.function.program.assign(body->begin() + static_cast<ptrdiff_t>(in.at()), body->end());
  entry.function.program_vaddr = base + in.at();
  return entry;
}

void CfiSection::make_index(ByteSource& source) {
  indexed_ = true;
  for (uint64_t at = 0; at < place_.bytes && index_.size() < kMostFunctions;) {
    const std::optional<Entry> one = entry(source, at, false);
    if (!one || one->next <= at) break;
    if (one->is_function) index_.emplace_back(one->function.range.start, at);
    at = one->next;
  }
  std::sort(index_.begin(), index_.end());
  index_.shrink_to_fit();
}

// The function's address, and where its entry is in the section.
std::optional<std::pair<uint64_t, uint64_t>> CfiSection::sorted(ByteSource& source, size_t index) const {
  if (table_count_ == 0) return index_[index];
  const auto both = load<std::array<int32_t, 2>>(source, header_.offset + 12 + index * 8);
  if (!both) return std::nullopt;
  const auto at = [&](int32_t relative) { return header_.vaddr + static_cast<uint64_t>(int64_t{relative}); };
  return std::pair(at((*both)[0]), at((*both)[1]) - place_.vaddr);
}

std::optional<AddressRange> CfiSection::range_at(ByteSource& source, uint64_t at) {
  const std::optional<Entry> one = entry(source, at, false);
  return one && one->is_function ? std::optional(one->function.range) : std::nullopt;
}

CfiSection::Answer CfiSection::find(ByteSource& source, uint64_t vaddr) {
  Answer answer;
  size_t low = 0, high = count();
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    const auto one = sorted(source, middle);
    if (!one) return answer;
    if (one->first <= vaddr)
      low = middle + 1;
    else
      high = middle;
  }
  if (low < count())
    if (const auto next = sorted(source, low)) answer.gap_end = next->first;
  for (size_t step = 0; step < kStepsBack && step < low; ++step) {
    const auto one = sorted(source, low - 1 - step);
    const std::optional<AddressRange> range = one ? range_at(source, one->second) : std::nullopt;
    if (!range) continue;
    if (range->contains(vaddr)) {
      std::optional<Entry> whole = entry(source, one->second, true);
      if (whole && whole->is_function) answer.function = std::move(whole->function);
      return answer;
    }
    if (range->end <= vaddr) answer.gap_begin = std::max(answer.gap_begin, range->end);
  }
  return answer;
}

}  // namespace memwhy::symbols
