// SPDX-License-Identifier: Apache-2.0
// Fuzz target: a heap profile that the user brings as a file. An input is such a file, compressed or not.
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <string>

#include "fuzz/support/check.h"
#include "fuzz/support/message.h"
#include "pprof/heap.h"

namespace memwhy::fuzz {
namespace {

constexpr size_t kMostSamples = 64;
constexpr size_t kMostFrames = 128;
constexpr size_t kMostInflated = 256 << 10;

void read(std::span<const std::byte> file) {
  const Result<pprof::HeapProfile> heap = pprof::read_heap(file);
  if (!heap) {
    check(heap.error().code() == ErrorCode::kBadInput && !heap.error().message().empty(),
          "an error says what it is");
    return;
  }
  check(heap->samples.size() <= kMostSamples, "as many samples are kept as the header says");
  check(heap->inuse_bytes <= INT64_MAX, "the sum is one that a profile can have");
  uint64_t most = ~uint64_t{0};
  for (const pprof::HeapSample& sample : heap->samples) {
    check(sample.bytes <= most, "the heaviest sample comes first");
    check(sample.bytes <= heap->inuse_bytes, "no sample is more than all of them");
    check(sample.frames.size() <= kMostFrames, "a sample has a bounded stack");
    most = sample.bytes;
  }
}

// "" when it is not compressed, or damaged.
std::string inflated(const uint8_t* data, size_t size) {
  std::string out(kMostInflated, '\0');
  z_stream stream{};
  if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK) return "";
  stream.next_in = const_cast<Bytef*>(data);  // zlib does not write it
  stream.avail_in = static_cast<uInt>(size);
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int result = inflate(&stream, Z_FINISH);
  out.resize(result == Z_STREAM_END ? stream.total_out : 0);
  inflateEnd(&stream);
  return out;
}

// What was compressed is changed inside, and then comes uncompressed.
size_t mutate(uint8_t* data, size_t size, size_t most, Random& random) {
  if (random.one_in(32)) return LLVMFuzzerMutate(data, size, most);
  const bool gzip = size > 2 && data[0] == 0x1f && data[1] == 0x8b;
  std::string bytes = gzip ? inflated(data, size) : std::string(reinterpret_cast<const char*>(data), size);
  for (size_t times = 1 + random.below(3); times > 0; --times)
    bytes = mutate_message(bytes, most > bytes.size() ? (most - bytes.size()) / 2 : 0, random);
  if (bytes.empty() || bytes.size() > most) return LLVMFuzzerMutate(data, size, most);
  std::memcpy(data, bytes.data(), bytes.size());
  return bytes.size();
}

}  // namespace
}  // namespace memwhy::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  memwhy::fuzz::read(std::as_bytes(std::span(data, size)));
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned seed) {
  memwhy::fuzz::Random random(seed);
  return memwhy::fuzz::mutate(data, size, most, random);
}
