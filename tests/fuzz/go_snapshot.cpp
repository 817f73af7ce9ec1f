// SPDX-License-Identifier: Apache-2.0
#include "go_snapshot.h"

#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string_view>

#include "fuzz/support/check.h"

namespace memwhy::fuzz {
namespace {

constexpr std::string_view kMagic = "MWGOSNP1";
constexpr size_t kPageBytes = 4096;
constexpr int kZstdLevel = 19;

void put(std::string& out, uint64_t value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void put(std::string& out, const Pages& pages) {
  put(out, pages.size());
  for (const auto& [number, bytes] : pages) {
    put(out, number);
    out += bytes;
  }
}

std::string_view take_bytes(std::string_view& from, size_t bytes) {
  check(bytes <= from.size(), "the snapshot is whole");
  const std::string_view head = from.substr(0, bytes);
  from.remove_prefix(bytes);
  return head;
}

uint64_t take(std::string_view& from) {
  uint64_t value = 0;
  std::memcpy(&value, take_bytes(from, sizeof value).data(), sizeof value);
  return value;
}

Pages take_pages(std::string_view& from) {
  Pages out;
  for (uint64_t left = take(from); left > 0; --left) {
    const uint64_t number = take(from);
    out[number] = take_bytes(from, kPageBytes);
  }
  return out;
}

}  // namespace

std::string to_bytes(const GoSnapshot& snapshot) {
  const goruntime::GoProgram& program = snapshot.program;
  std::string out(kMagic);
  put(out, program.version.size());
  out += program.version;
  for (const uint64_t value : {program.image.pclntab, program.image.names_offset, program.sampler.start,
                               program.sampler.end, uint64_t{program.image.writable.size()}})
    put(out, value);
  for (const AddressRange& range : program.image.writable) {
    put(out, range.start);
    put(out, range.end);
  }
  put(out, snapshot.resident.size());
  for (const events::ScanRun& run : snapshot.resident) {
    put(out, run.page);
    put(out, run.count);
  }
  put(out, snapshot.memory);
  put(out, snapshot.file);
  std::string compressed(ZSTD_compressBound(out.size()), '\0');
  const size_t size = ZSTD_compress(compressed.data(), compressed.size(), out.data(), out.size(), kZstdLevel);
  check(ZSTD_isError(size) == 0, "the snapshot can be compressed");
  compressed.resize(size);
  return compressed;
}

GoSnapshot snapshot_from(const std::string& file_name) {
  std::ifstream file(file_name, std::ios::binary);
  const std::string compressed((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const unsigned long long size = ZSTD_getFrameContentSize(compressed.data(), compressed.size());
  check(size < (64u << 20), "the snapshot is a small zstd frame");
  std::string bytes(size, '\0');
  check(ZSTD_decompress(bytes.data(), bytes.size(), compressed.data(), compressed.size()) == size,
        "the snapshot can be decompressed");
  std::string_view in = bytes;
  check(take_bytes(in, kMagic.size()) == kMagic, "a snapshot of this version");
  GoSnapshot out;
  goruntime::GoProgram& program = out.program;
  program.version = take_bytes(in, take(in));
  program.image.pclntab = take(in);
  program.image.names_offset = take(in);
  program.sampler.start = take(in);
  program.sampler.end = take(in);
  program.image.writable.resize(take(in));
  for (AddressRange& range : program.image.writable) {
    range.start = take(in);
    range.end = take(in);
  }
  out.resident.resize(take(in));
  for (events::ScanRun& run : out.resident) {
    run.page = take(in);
    run.count = static_cast<uint32_t>(take(in));
  }
  out.memory = take_pages(in);
  out.file = take_pages(in);
  return out;
}

}  // namespace memwhy::fuzz
