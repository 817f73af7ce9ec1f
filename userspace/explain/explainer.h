// SPDX-License-Identifier: Apache-2.0
// Explainer: events in, Explanation out. The same for a recording in progress and for a file.
// It owns the Timeline, takes the ledger at each scan, and runs the rules once, at the end.
//
//   Explainer explainer;
//   while (auto event = reader.next()) explainer.on_event(*event);
//   std::cout << report::to_text(explainer.finish(reader.damage()));
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "events/event.h"
#include "explain/explanation.h"
#include "explain/owner_table.h"
#include "timeline/timeline.h"

namespace memwhy::explain {

class Explainer : public events::EventSink {
 public:
  // `owners`: the lines of the ledger, and which runtime has which.
  explicit Explainer(OwnerTable owners = {});
  ~Explainer() override;
  Explainer(const Explainer&) = delete;
  Explainer& operator=(const Explainer&) = delete;

  void on_event(const events::Event& event) override;
  const timeline::Timeline& timeline() const;
  // The explanation is of the time from here on (interval.h): growth, events and rates; processes that ended before are
  // none of it. What is there now is explained by all that came before.
  void begin(TimeNs time);

  // May be called at any time and more than once. `damage`: what the reader of a file reports, one
  // sentence each. `heap_profile_bytes`: bytes in use by a profile that the user brought, instead of the one that was
  // read; the recording must be of one process.
  Explanation finish(std::vector<std::string> damage = {},
                     std::optional<uint64_t> heap_profile_bytes = {}) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace memwhy::explain
