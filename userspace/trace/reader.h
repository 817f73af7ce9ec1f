// SPDX-License-Identifier: Apache-2.0
// Reader: passes the events of a .memwhy file to a sink, and reports what is missing.
//
// What it is: the only way from bytes of unknown origin to events. Every length and count is compared with the
// bytes that are there before memory is allocated; a damaged chunk is skipped, counted and reported; the events
// that come out are those that were written. What it is not: a judge of what a loss means; that is the
// explainer's task. What comes next: kinds that this version does not know are counted, not lost.
//
// Memory: one chunk (64 MiB at most, decompressed) and one event at a time, however large the file.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "events/event.h"
#include "trace/format.h"

namespace memwhy::trace {

// How much of the file one kind of event takes.
struct KindTotals {
  std::string name;  // "PageTableRuns"
  uint64_t events = 0;
  uint64_t raw_bytes =
      0;  // before compression; calls of the mapping family are not split up and stand under "calls"
};

struct ReadSummary {
  uint16_t major = 0, minor = 0;
  std::array<uint8_t, 16> uuid = {};
  uint64_t file_bytes = 0;

  bool complete = false;  // closed by its recorder, and nothing is damaged or missing
  bool rotated = false;   // goes on in the next part
  std::string ended;  // RecordingEnd::why as stored in the END chunk | "rotated" | "output_full" | "killed"
  TimeNs first_time = 0, last_time = 0;  // of the chunks that could be read

  uint64_t chunks = 0;          // whole and decoded
  uint64_t chunks_damaged = 0;  // present in part, or with a wrong checksum
  uint64_t chunks_missing = 0;  // gaps in the sequence, damaged ones included
  uint64_t chunks_unknown = 0;  // optional, of a newer writer
  uint64_t bytes_lost = 0;      // that belong to no readable chunk
  TimeNs time_lost = 0;  // between the chunks around the damage; the end of a cut recording is not known
  uint64_t events = 0;   // given to the sink
  uint64_t events_unknown = 0;  // of kinds that only a newer version knows
  std::optional<uint64_t>
      events_lost;  // written but not readable; absent: not known, the recording was not closed
  uint64_t events_not_written = 0;  // the recorder's own count, when the output was full
  uint64_t stacks_undefined = 0;    // distinct stack ids that are named but never defined
  uint32_t part = 0;                // as in RecordingInfo

  std::vector<KindTotals> kinds;
  std::vector<std::string>
      damage;  // sentences for a person; empty: nothing is missing. At most 100, then their number

  // What the two counts of the unknown mean, as a sentence; "" when both are 0.
  std::string of_newer_kinds() const;
};

class ByteSource;  // trace/source.h

struct ReadOptions {
  bool skip_restated = false;  // when the part before was just read
};

class Reader {
 public:
  // kBadInput, with the reason: not a regular file, empty, not ours, newer than this reader, header cut off.
  static Result<Reader> open(const std::string& path);
  static Result<Reader> open(Fd file, std::string name);
  static Result<Reader> from_bytes(std::string bytes, std::string name = "trace");
  Reader(Reader&&) noexcept;
  Reader& operator=(Reader&&) noexcept;
  ~Reader();

  // Every event in the order in which it was written. kBadInput: a chunk is needed that only a newer version
  // knows; the sink may have had events by then. A file that was cut after its header has no events, and
  // damage says so.
  Result<ReadSummary> read_all(events::EventSink& sink, ReadOptions options = {}) const;

  const ByteSource& source() const;
  const FileHeader& header() const;

 private:
  static Result<Reader> from_source(std::unique_ptr<ByteSource> source, std::string name);
  Reader(std::unique_ptr<ByteSource> source, std::string name, FileHeader header, bool header_damaged);
  std::unique_ptr<ByteSource> source_;
  std::string name_;
  FileHeader header_;
  bool header_damaged_ = false;
};

}  // namespace memwhy::trace
