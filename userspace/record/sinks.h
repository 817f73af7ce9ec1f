// SPDX-License-Identifier: Apache-2.0
// Sinks: where the events of one recording go, when that is more than one place: a file, and a view or an agent beside it.
//
// What it is: each event to each sink, in the order in which they were given, on the session's one sink thread. What it is
// not: a queue; a sink that takes its time delays the next one.
//
//   {file} {view, optional}          the queue is half full, and it is the view that takes the time   ->  the view is cut
//                                    the view throws                                                  ->  the view is cut
//                                    the file throws     ->  the recording ends, and the view is given the rest of it
//
// A sink that was cut gets nothing more, not even the end: it has missed something, and must not look complete.
#pragma once

#include <exception>
#include <functional>
#include <string>
#include <vector>

#include "events/event.h"
#include "record/clock.h"

namespace memwhy::record {

struct Sink {
  events::EventSink* to = nullptr;  // must outlive the session
  std::string name = "sink";        // for sentences
  bool optional = false;            // the recording goes on without it
};

class Sinks : public events::EventSink {
 public:
  // `failed` is given what a sink that is not optional threw.
  Sinks(std::vector<Sink> sinks, Clock& clock, std::function<void(std::exception_ptr)> failed);

  void on_event(const events::Event& event) override;
  // The queue fills up: cuts the optional sink that took most of the time since the last call, if it took more than half.
  void shed();

  bool any() const { return !sinks_.empty(); }
  // Of those that were cut since the last call, one sentence each.
  std::vector<std::string> take_cut();

 private:
  struct Open {
    Sink sink;
    TimeNs took = 0;  // since the last shed()
  };
  void cut(size_t at, const std::string& why);

  std::vector<Open> sinks_;
  Clock& clock_;
  std::function<void(std::exception_ptr)> failed_;
  std::vector<std::string> cut_;
};

}  // namespace memwhy::record
