// SPDX-License-Identifier: Apache-2.0
// LiveView: who is shown a recording while it runs. It is given every event on the session's sink thread, and is looked after by
// the thread that waits. live.h takes one along; what it shows is its own matter.
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
  // Before anything else is said: the screen is given back. The session is finished, and with it the sink's thread.
  virtual void end() = 0;
};

}  // namespace memwhy::app
