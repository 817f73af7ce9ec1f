// SPDX-License-Identifier: Apache-2.0
// Ring: the last minutes of one unit on disk, as the parts of a rotated recording of which the oldest are deleted.
//
//   quota 64 MiB, 15 min: a part has 8 MiB or 112 s, and ends when the kernel's table has been restated
//
//   ring/web.service/     ring.memwhy   ring.1.memwhy … ring.6.memwhy   ring.7.memwhy   ring.8.memwhy ◄── written
//   of minutes            0-2           2-4             12-14           14-16           16-17
//   at minute 17.0        deleted: 2-4 … 16-17 still hold 15 min
//   trigger at 17.0       kept: the files from 2 to 17.0, flushed; join.h makes one recording of them
//
// Every part can be explained alone (trace/restate.h), so that any of them may be the first. An agent that is killed leaves them
// behind, whole up to a second before; store.h finds them. Not a queue: one thread owns it.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/definitions.h"
#include "base/result.h"
#include "events/event.h"
#include "trace/writer.h"

namespace memwhy::agent {

struct RingLimits {
  uint64_t bytes = 64u << 20;
  TimeNs keep = 900'000'000'000;
};

constexpr uint64_t kPartsOfRing = 8;

class Ring : public events::EventSink {
 public:
  // Makes `folder`, which must not exist, and the first part in it. kOutput.
  static Result<std::unique_ptr<Ring>> open(const std::string& folder, RingLimits limits);
  // Deletes all of it.
  ~Ring() override;

  void on_event(const events::Event& event) override;
  // Writes what is due, and deletes parts that are not needed, unless they are pinned.
  void tick(TimeNs now);
  bool wants_restate() const { return writer_->wants_restate(); }
  const std::optional<Error>& failure() const { return writer_->failure(); }

  // Everything up to now is in the files, oldest first. They stay while there are pins.
  std::vector<std::string> snapshot();
  void pin() { ++pins_; }
  void unpin() { --pins_; }
  bool pinned() const { return pins_ != 0; }

  uint64_t bytes() const;
  TimeNs from() const { return parts_.front().from; }  // how far back it goes
  void leave() { deletes_ = false; }                   // its files stay, for the next agent

  Definitions::Given given;

 private:
  struct Part {
    std::string path;
    uint64_t bytes_before = 0;  // of all parts until then
    TimeNs from = 0;
  };
  Ring(std::string folder, RingLimits limits, std::unique_ptr<trace::Writer> writer);
  void note_parts(TimeNs now);

  std::string folder_;
  RingLimits limits_;
  std::unique_ptr<trace::Writer> writer_;
  std::deque<Part> parts_;  // the last one is written
  uint32_t noted_ = 0;      // parts that there ever were
  uint64_t made_room_ = 0;  // the writer, in its memory
  size_t pins_ = 0;
  bool deletes_ = true;
};

}  // namespace memwhy::agent
