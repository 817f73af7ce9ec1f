// SPDX-License-Identifier: Apache-2.0
// trace_dump FILE: every chunk with its offset, length and state, and every event as one line.
//
// What it is: the microscope for userspace/trace/FORMAT.md. What it is not: memwhy info, which is for users.
// Exit: 0 all is readable · 2 usage · 6 damaged, or not a recording.
//
//        0  file header 1.0, uuid 6f1c…
//       40  chunk 0 events v1 zstd          3310 of 9204 bytes    184 events  +0.000s..+0.998s  ok
//           +0.000s recording part 0 by memwhy "0.1.0" on "web-1" …
#include <fmt/format.h>

#include <cstdio>
#include <string>
#include <string_view>

#include "base/exit_status.h"
#include "base/result.h"
#include "events/event.h"
#include "trace/batch.h"
#include "trace/chunk.h"
#include "trace/reader.h"

namespace memwhy::trace {
namespace {

constexpr double kNsPerSecond = 1e9;

std::string hex(const std::array<uint8_t, 16>& bytes) {
  std::string out;
  for (const uint8_t byte : bytes) out += fmt::format("{:02x}", byte);
  return out;
}

// One line for each event; how many could not be decoded is not known, so the sentence is enough.
class Dump {
 public:
  explicit Dump(const Reader& reader) : reader_(reader) {}

  bool run() {
    const FileHeader& header = reader_.header();
    const bool header_ok = hash_of(header) == header.hash;
    fmt::print("{:>10}  file header {}.{}, uuid {}{}\n", 0, header.major, header.minor, hex(header.uuid),
               header_ok ? "" : "  DAMAGED");
    all_readable_ = header_ok;
    ChunkWalk walk(reader_.source(), header_ok ? header.header_bytes : sizeof header);
    for (ChunkStep step = walk.next(); step.what != ChunkStep::What::kEnd; step = walk.next()) {
      if (step.what == ChunkStep::What::kDamage) {
        fmt::print("{:>10}  DAMAGED {} bytes{}\n", step.offset, step.bytes,
                   step.cut ? ", a chunk that is cut off" : "");
        all_readable_ = false;
      } else {
        chunk(step, walk);
      }
    }
    return all_readable_;
  }

 private:
  double since_origin(TimeNs time) const {
    return static_cast<double>(static_cast<int64_t>(time - origin_)) / kNsPerSecond;
  }

  void chunk(const ChunkStep& step, ChunkWalk& walk) {
    const ChunkHeader& header = step.header;
    const bool is_events =
        header.kind == static_cast<uint16_t>(ChunkKind::kEvents) && header.version == kEventsVersion;
    const bool is_end =
        header.kind == static_cast<uint16_t>(ChunkKind::kEnd) && header.version == kEndVersion;
    if (!has_origin_) origin_ = header.time_min;
    has_origin_ = true;
    const std::string kind = is_events ? "events" : is_end ? "end" : fmt::format("kind {}", header.kind);
    fmt::print("{:>10}  chunk {} {} v{}{}{}{}  {} of {} bytes  {} events  {:+.3f}s..{:+.3f}s  ok\n",
               step.offset, header.sequence, kind, header.version, (header.flags & kZstd) != 0 ? " zstd" : "",
               (header.flags & kOptional) != 0 ? " optional" : "",
               (header.flags & kRestated) != 0 ? " restated" : "", header.stored_bytes, header.raw_bytes,
               header.count, since_origin(header.time_min), since_origin(header.time_max));
    const Result<std::string_view> raw = walk.payload();
    if (!raw) return problem(raw.error().message());
    if (is_events) {
      BatchTotals totals;
      const Status status =
          read_batch(*raw, header.time_min, header.count, totals, [this](const events::Event& event) {
            fmt::print("            {}\n", events::describe(event, origin_));
          });
      if (!status) problem(status.error().message());
      if (totals.unknown != 0) fmt::print("            {} events of unknown kinds\n", totals.unknown);
    } else if (is_end) {
      End end;
      if (!decode_end(*raw, end)) return problem("not a message End");
      fmt::print("            end how {}: {}, {} events in this part, {} not written\n",
                 static_cast<int>(end.how),
                 events::describe({header.time_max, events::RecordingEnd{end.why}}, origin_), end.events,
                 end.events_not_written);
    }
  }

  void problem(const std::string& what) {
    fmt::print("            NOT READABLE: {}\n", what);
    all_readable_ = false;
  }

  const Reader& reader_;
  TimeNs origin_ = 0;
  bool has_origin_ = false;
  bool all_readable_ = true;
};

}  // namespace
}  // namespace memwhy::trace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: trace_dump FILE.memwhy\n", stderr);
    return memwhy::exit_status(memwhy::ErrorCode::kUsage);
  }
  const auto reader = memwhy::trace::Reader::open(argv[1]);
  if (!reader) {
    fmt::print(stderr, "trace_dump: {}\n", reader.error().message());
    return memwhy::exit_status(reader.error().code());
  }
  return memwhy::trace::Dump(*reader).run() ? 0 : memwhy::exit_status(memwhy::ErrorCode::kBadInput);
}
