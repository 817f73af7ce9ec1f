// SPDX-License-Identifier: Apache-2.0
// A process's memory that a test makes up, or records and then damages.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "remote/memory.h"

namespace memwhy::remote::test {

// Who says which pages are there: the others can't be read.
class PresentMemory : public RemoteMemory {
 public:
  Status read(uint64_t address, std::span<std::byte> into) override {
    Result<uint64_t> there = read_present(address, into);
    if (!there) return std::move(there).error();
    if (*there != into.size()) return Error(ErrorCode::kAbsent, "a page is not resident");
    return {};
  }
};

// Pages that were never put are not resident.
class FakeMemory : public PresentMemory {
 public:
  using Page = std::array<std::byte, kPageBytes>;

  void put(uint64_t address, std::span<const std::byte> bytes) {
    for (size_t i = 0; i < bytes.size(); ++i, ++address)
      pages_[address / kPageBytes][address % kPageBytes] = bytes[i];
  }
  void put_word(uint64_t address, uint64_t value) { put(address, std::as_bytes(std::span(&value, 1))); }
  void put_words(uint64_t address, std::initializer_list<uint64_t> values) {
    for (const uint64_t value : values) put_word(address, value), address += 8;
  }
  void drop(PageNumber page) { pages_.erase(page); }
  Page page(PageNumber page) const { return pages_.at(page); }
  bool has(PageNumber page) const { return pages_.count(page) != 0; }
  std::vector<PageNumber> pages() const {
    std::vector<PageNumber> out;
    for (const auto& [page, bytes] : pages_) out.push_back(page);
    std::sort(out.begin(), out.end());
    return out;
  }
  uint64_t reads() const { return reads_; }

  Result<uint64_t> read_present(uint64_t address, std::span<std::byte> into) override {
    ++reads_;
    if (address + into.size() < address) return Error(ErrorCode::kAbsent, "an address range wraps");
    uint64_t there = 0;
    for (size_t done = 0; done < into.size();) {
      const uint64_t at = address + done, inside = at % kPageBytes;
      const size_t n = std::min<size_t>(into.size() - done, kPageBytes - inside);
      if (const auto page = pages_.find(at / kPageBytes); page != pages_.end()) {
        std::memcpy(into.data() + done, page->second.data() + inside, n);
        there += n;
      } else {
        std::memset(into.data() + done, 0, n);
      }
      done += n;
    }
    return there;
  }

 private:
  std::unordered_map<PageNumber, Page> pages_;
  uint64_t reads_ = 0;
};

// Passes reads on, and keeps the pages that they touched.
class RecordedMemory final : public RemoteMemory {
 public:
  explicit RecordedMemory(RemoteMemory& source) : source_(source) {}

  Status read(uint64_t address, std::span<std::byte> into) override {
    remember(address, into.size());
    return source_.read(address, into);
  }
  Result<uint64_t> read_present(uint64_t address, std::span<std::byte> into) override {
    remember(address, into.size());
    return source_.read_present(address, into);
  }
  const FakeMemory& recorded() const { return recorded_; }

 private:
  void remember(uint64_t address, size_t bytes) {
    for (PageNumber page = address / kPageBytes; page <= (address + bytes - 1) / kPageBytes; ++page) {
      FakeMemory::Page copy;
      if (!recorded_.has(page) && source_.read(page * kPageBytes, copy))
        recorded_.put(page * kPageBytes, copy);
    }
  }

  RemoteMemory& source_;
  FakeMemory recorded_;
};

}  // namespace memwhy::remote::test
