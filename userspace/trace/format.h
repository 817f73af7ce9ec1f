// SPDX-License-Identifier: Apache-2.0
// The constants and fixed structures of a .memwhy file; FORMAT.md is the document, with a worked example.
//
// What it is: numbers that are on disk and therefore never change their meaning. What it is not: code.
// What comes next: new chunk kinds, marked optional, without a new major version.
//
//   offset 0     FileHeader   89 M W H Y 0d 0a 1a · 1.0 · 40 bytes · uuid · hash
//   offset 40    ChunkHeader  kEvents seq 0   184 events  9,204 -> 3,310 bytes  t 81.2 s .. 82.2 s  + zstd frame
//   offset 3398  ChunkHeader  kEvents seq 1   …
//   …            ChunkHeader  kEnd    seq 61  "stopped"     absent: the recorder was killed
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace memwhy::trace {

static_assert(std::endian::native == std::endian::little, "the file is little endian and is read in place");

// A byte above 0x7f, CRLF and ^Z: a transfer that strips bits, rewrites line ends or stops at ^Z breaks the
// magic.
constexpr std::array<uint8_t, 8> kFileMagic = {0x89, 'M', 'W', 'H', 'Y', '\r', '\n', 0x1a};
constexpr std::array<uint8_t, 4> kChunkMagic = {0xc4, 'M', 'W', 'C'};

constexpr uint16_t kMajor = 1;  // a reader refuses a greater one
constexpr uint16_t kMinor = 0;  // greater: more optional things, still readable

// Its layout holds in every major version, so that each reader can say what it refuses.
struct FileHeader {
  std::array<uint8_t, 8> magic = kFileMagic;
  uint16_t major = kMajor;
  uint16_t minor = kMinor;
  uint32_t header_bytes = 40;         // the first chunk starts here
  std::array<uint8_t, 16> uuid = {};  // of the recording: equal in all its parts
  uint64_t hash = 0;                  // XXH3-64 of the 32 bytes before
};
static_assert(sizeof(FileHeader) == 40);

enum class ChunkKind : uint16_t {
  kEvents = 1,  // message Events: a second of events at most
  kEnd = 2,     // message End: the recorder closed this part
};
constexpr uint8_t kEventsVersion = 1;
constexpr uint8_t kEndVersion = 1;

enum ChunkFlags : uint8_t {
  kZstd = 1,      // the payload is one zstd frame of raw_bytes; else it is stored as it is
  kOptional = 2,  // a reader that does not know the kind or version goes on without it
  kRestated = 4,  // only repeats what earlier parts said, so that this part can be explained alone
};

struct ChunkHeader {
  std::array<uint8_t, 4> magic = kChunkMagic;
  uint16_t kind = 0;          // ChunkKind
  uint8_t version = 0;        // of the payload's layout, counted for each kind from 1
  uint8_t flags = 0;          // ChunkFlags; unknown ones count as an unknown version
  uint32_t sequence = 0;      // 0, 1, 2 … in each part: a gap is a lost chunk
  uint32_t count = 0;         // events in it
  uint32_t raw_bytes = 0;     // payload when decompressed, at most kMaxRawBytes
  uint32_t stored_bytes = 0;  // payload as stored, after this header
  uint64_t time_min = 0;      // CLOCK_MONOTONIC ns of the events in it
  uint64_t time_max = 0;
  uint64_t hash = 0;  // XXH3-64 of this header with hash 0, then the stored payload
};
static_assert(sizeof(ChunkHeader) == 48);

constexpr uint32_t kMaxRawBytes = 64u << 20;
constexpr uint32_t kMaxStoredBytes = kMaxRawBytes + (kMaxRawBytes >> 8) + 1024;  // above ZSTD_compressBound

// What an event is, in the file. Numbers are never reused; the order of events::Payload does not matter.
enum class EventKind : uint8_t {
  kRecordingInfo = 1,
  kClockAnchor = 2,
  kHookReport = 3,
  kCoverage = 4,
  kRecordingEnd = 5,
  kBinaryInfo = 6,
  kSymbolInfo = 7,
  kSpaceStart = 8,
  kSpaceEnd = 9,
  kProcessExit = 10,
  kOomVictim = 11,
  kThreadList = 12,
  kCounters = 13,
  kVmaList = 14,
  kPageScan = 15,
  kPageTableRuns = 16,
  kStack = 17,
  kVmaMapped = 18,
  kVmaUnmapped = 19,
  kVmaAdvised = 20,
  kVmaMoved = 21,
  kHeapGrown = 22,
  kLoss = 23,
  kGoStatistics = 24,
  kGoReading = 25,
  kGoProfile = 26,
  kGoGoroutines = 27,
  kGoCall = 28,
  kRuntimePages = 29,
  kAllocatorHeap = 30,
  kCgroupMemory = 31,
  kAllocationCall = 32,
};
constexpr uint8_t kLastEventKind = 32;

// Why a part was closed (field `how` of message End).
enum class EndHow : uint8_t {
  kClosed = 1,      // the recording ended
  kRotated = 2,     // it goes on in the next part
  kOutputFull = 3,  // the output took no more; what followed was only counted
};

}  // namespace memwhy::trace
