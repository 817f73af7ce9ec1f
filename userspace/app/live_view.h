// SPDX-License-Identifier: Apache-2.0
// LiveView: a view of a recording while it runs. It gets every event on the session's sink thread, and the waiting thread calls
// it regularly. live.h takes one; what it shows is up to it.
#pragma once

#include "events/event.h"
#include "record/session.h"

namespace memwhy::app {

class LiveView {
 public:
  virtual ~LiveView() = default;
  virtual events::EventSink& sink() = 0;
  // Five times a second, or less often while it takes its time; true: the recording is to stop.
  virtual bool glance(record::Session& session) = 0;
  // Restores the screen before anything else is printed. The session is finished, and with it the sink's thread.
  virtual void end() = 0;
};

}  // namespace memwhy::app
