// SPDX-License-Identifier: Apache-2.0
// Field numbers of Perfetto's trace format, those that perfetto.cpp writes: protos/perfetto/trace/perfetto_trace.proto of
// github.com/google/perfetto. tests/readers compares what is written with the whole schema. Not the meaning of the packets.
#pragma once

#include <cstdint>

namespace memwhy::exports::perfetto {

enum Trace : uint32_t { kPacket = 1 };
enum TracePacket : uint32_t {
  kProcessTree = 2,
  kClockSnapshot = 6,
  kTimestamp = 8,
  kProcessStats = 9,
  kSequenceId = 10,
  kTrackEvent = 11,
  kInternedData = 12,
  kSequenceFlags = 13,
  kProfilePacket = 37,
  kPacketClock = 58,
  kPacketDefaults = 59,
  kTrackDescriptor = 60,
  kSmapsPacket = 68
};
enum SequenceFlag : uint32_t { kStateCleared = 1, kStateNeeded = 2 };
enum PacketDefaults : uint32_t { kDefaultClock = 58 };
enum Clock : uint32_t { kRealtime = 1, kMonotonic = 3, kMonotonicCoarse = 4, kBoottime = 6 };
enum ClockSnapshot : uint32_t { kClocks = 1, kPrimaryClock = 2 };
enum ClockReading : uint32_t { kClockId = 1, kClockTime = 2 };
enum TreeOrStats : uint32_t { kProcesses = 1 };
enum TreeProcess : uint32_t { kTreePid = 1, kTreeCommandLine = 3, kCommandLineIsComm = 9 };
enum StatsProcess : uint32_t { kStatsPid = 1, kRssKb = 3, kAnonKb = 4, kFileKb = 5, kShmemKb = 6 };
enum Track : uint32_t {
  kTrackUuid = 1,
  kTrackName = 2,
  kTrackProcess = 3,
  kTrackParent = 5,
  kTrackCounter = 8,
  kTrackOrdering = 11,
  kTrackRank = 12
};
enum ProcessTrack : uint32_t { kTrackPid = 1, kTrackProcessName = 6 };
enum CounterTrack : uint32_t { kUnit = 3, kSharedAxis = 7 };
constexpr uint32_t kUnitBytes = 3, kOrderExplicit = 3;
enum TrackEventField : uint32_t {
  kAnnotation = 4,
  kEventType = 9,
  kEventTrack = 11,
  kEventCategory = 22,
  kEventName = 23,
  kCounterValue = 30
};
enum TrackEventType : uint32_t { kBegin = 1, kEnd = 2, kInstant = 3, kCounter = 4 };
enum Annotation : uint32_t { kAnnotationUint = 3, kAnnotationString = 6, kAnnotationName = 10 };
enum Interned : uint32_t {
  kFunctionNames = 5,
  kFrames = 6,
  kCallstacks = 7,
  kBuildIds = 16,
  kMappingPaths = 17,
  kSourcePaths = 18,
  kMappings = 19
};
enum InternedEntry : uint32_t { kIid = 1, kString = 2 };
enum InternedMapping : uint32_t {
  kMappingBuildId = 2,
  kMappingStart = 4,
  kMappingEnd = 5,
  kMappingPath = 7,
  kMappingOffset = 8
};
enum InternedFrame : uint32_t {
  kFrameFunction = 2,
  kFrameMapping = 3,
  kFramePc = 4,
  kFrameSource = 5,
  kFrameLine = 6
};
enum InternedStack : uint32_t { kStackFrames = 2 };
enum ProfilePacketField : uint32_t { kDumps = 5 };
enum HeapSamples : uint32_t {
  kHeapPid = 1,
  kHeapSample = 2,
  kHeapTime = 9,
  kHeapName = 11,
  kHeapInterval = 12
};
enum HeapSample : uint32_t { kSampleStack = 1, kSampleBytes = 2, kSampleCount = 5 };
enum Smaps : uint32_t { kSmapsPid = 1, kSmapsEntry = 2, kSmapsPacked = 3, kSmapsRecording = 4 };
constexpr uint32_t kStandalone = 1;
enum SmapsEntry : uint32_t { kEntryPath = 1, kEntrySizeKb = 2, kEntryPrivateDirtyKb = 3, kEntrySwapKb = 4 };
enum PackedSmaps : uint32_t {
  kPackedNames = 1,
  kPackedNameId = 2,
  kPackedSizeKb = 4,
  kPackedRssKb = 5,
  kPackedAnonKb = 6,
  kPackedSwapKb = 7
};

}  // namespace memwhy::exports::perfetto
