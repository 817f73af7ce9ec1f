// SPDX-License-Identifier: Apache-2.0
#include "fuzz/support/patched.h"

#include <algorithm>
#include <cstring>

namespace memwhy::fuzz {
namespace {

constexpr size_t kPageBytes = 4096, kPatchBytes = 18;

}  // namespace

std::vector<Patch> patches_of(std::span<const uint8_t> bytes) {
  std::vector<Patch> out;
  for (size_t at = 0; at + kPatchBytes <= bytes.size() && out.size() < kMostPatches; at += kPatchBytes) {
    Patch& patch = out.emplace_back();
    std::memcpy(&patch.address, bytes.data() + at, 8);
    std::memcpy(&patch.value, bytes.data() + at + 8, 8);
    patch.from = bytes[at + 16];
    patch.until = bytes[at + 17];
  }
  return out;
}

std::string bytes_of(const std::vector<Patch>& patches) {
  std::string out;
  for (const Patch& patch : patches) {
    out.append(reinterpret_cast<const char*>(&patch.address), 8);
    out.append(reinterpret_cast<const char*>(&patch.value), 8);
    out.push_back(static_cast<char>(patch.from));
    out.push_back(static_cast<char>(patch.until));
  }
  return out;
}

uint64_t mutated_word(uint64_t word) {
  uint8_t bytes[8];
  std::memcpy(bytes, &word, sizeof word);
  LLVMFuzzerMutate(bytes, sizeof bytes, sizeof bytes);
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

const char* PatchedMemory::page(uint64_t number) const {
  auto found = pages_.find(number);
  if (found != pages_.end()) return found->second.data();
  for (const Patch& patch : patches_) {
    if (patch.until != Patch::kMirror || number - patch.value / kPageBytes >= kMirrorBytes / kPageBytes)
      continue;
    found = pages_.find(patch.address / kPageBytes);
    if (found != pages_.end()) return found->second.data();
  }
  return nullptr;
}

void PatchedMemory::apply(uint64_t address, std::span<std::byte> into) {
  for (size_t i = 0; i < patches_.size(); ++i) {
    const Patch& patch = patches_[i];
    // Words lie on their own bounds, so that one is inside or outside, or cut by the end of what is read.
    if (patch.until == Patch::kMirror || patch.address - address >= into.size()) continue;
    if (page(patch.address / kPageBytes) == nullptr) continue;
    const uint32_t nth = reads_[i]++;
    if (nth < patch.from || (patch.until != Patch::kForever && nth >= patch.until)) continue;
    const uint64_t at = patch.address - address;
    std::memcpy(into.data() + at, &patch.value, std::min<size_t>(sizeof patch.value, into.size() - at));
  }
}

Status PatchedMemory::read(uint64_t address, std::span<std::byte> into) {
  const Result<uint64_t> there = read_present(address, into);
  if (!there) return there.error();
  if (*there != into.size()) return Error(ErrorCode::kAbsent, "a page is not resident");
  return {};
}

Result<uint64_t> PatchedMemory::read_present(uint64_t address, std::span<std::byte> into) {
  if (address + into.size() < address) return Error(ErrorCode::kAbsent, "an address range wraps");
  uint64_t there = 0;
  for (size_t done = 0; done < into.size();) {
    const uint64_t at = address + done;
    const size_t bytes = std::min<size_t>(into.size() - done, kPageBytes - at % kPageBytes);
    if (const char* const found = page(at / kPageBytes)) {
      std::memcpy(into.data() + done, found + at % kPageBytes, bytes);
      there += bytes;
    } else {
      std::memset(into.data() + done, 0, bytes);
    }
    done += bytes;
  }
  apply(address, into);
  return there;
}

}  // namespace memwhy::fuzz
