// SPDX-License-Identifier: Apache-2.0
// Writer: the sink that appends a recording to a .memwhy file.
//
// What it is: events in, complete chunks out, one pwrite(2) for each, a second of events at most, so that a
// killed recorder loses no more than that. Nothing written is ever changed. What it is not: a queue or a
// thread; one thread owns it. What comes next: chunk kinds for Go tables.
//
// When the output cannot grow (disk full, size limit, I/O error) the file is cut back to its last complete
// chunk, failure() says so once, and what follows is counted as not written.
//
// Rotation. At `max_part_bytes` the part is closed and NAME.1.memwhy, NAME.2.memwhy … follow, each of which
// can be explained alone: it opens with the recording's facts and the last readings of each live space, and
// restates a stack with its names before the first event that uses it. Only the kernel's page table is not
// kept here: from ¾ of the size on wants_restate() asks the session for restated PageTableRuns, and the part
// is changed when they arrive. A part that has its age (`max_part_ns`) is changed when the session restates by itself, and is
// asked for when twice that has passed.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "events/event.h"
#include "trace/restate.h"

namespace memwhy::trace {

struct WriterOptions {
  std::string path;  // for messages, and for the names of further parts; "" when the file has no name
  uint64_t max_part_bytes = 0;  // 0: one part without limit. A part may exceed it by one chunk
  std::optional<std::array<uint8_t, 16>> uuid = {};  // random when absent
  TimeNs max_part_ns =
      0;  // with max_part_bytes: a part of this age ends with the next restated table. 0: by size alone
  uint64_t max_definition_bytes = kMaxDefinitionBytes;  // of memory, for what further parts restate
};

struct WriterTotals {
  uint64_t events = 0;              // given to the sink
  uint64_t events_not_written = 0;  // of those, not in the file
  uint64_t chunks = 0;
  uint64_t bytes = 0;       // of all parts
  uint64_t part_bytes = 0;  // of the last one
  uint32_t parts = 1;
  uint64_t made_room = 0;  // how often definitions were forgotten, which are to be given again
};

class Writer : public events::EventSink {
 public:
  // Takes an empty output and writes the file header. kUsage: rotation without a path.
  static Result<std::unique_ptr<Writer>> create(Fd output, WriterOptions options);
  ~Writer() override;

  void on_event(const events::Event& event) override;
  // Writes what is older than events::kFileWindow. To be called each events::kFileTick.
  void tick(TimeNs now);
  // Writes everything that is buffered.
  void flush();
  // Closes the recording: an END chunk. `why` as in events::RecordingEnd. The error is failure(), if there
  // was one.
  Status finish(const std::string& why);

  // What stopped the writing, the deletion of the file too; nullopt: all is well. kOutput.
  const std::optional<Error>& failure() const;
  WriterTotals totals() const;
  // Any thread may ask: the session should soon send restated PageTableRuns, VMA lists and a scan of each
  // space.
  bool wants_restate() const;
  // Gives the file of the current part back, for reading. The writer is done.
  Fd release();

 private:
  class Impl;
  explicit Writer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace memwhy::trace
