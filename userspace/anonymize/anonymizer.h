// SPDX-License-Identifier: Apache-2.0
// Anonymizer: a sink that passes every event on, with other names in it (names.h). Numbers, addresses, times, sizes and the
// order of events stay, so that what comes out is explained as what went in.
//
//   SymbolInfo {0x401000, main.load, /srv/acme/job.go:36}  ──►  SymbolInfo {0x401000, main.kadogila, /srv/zenoriba/befo.go:36}
//
// There is no default: a new kind of event does not compile until this room lists what is private in it.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>

#include "anonymize/names.h"
#include "events/event.h"

namespace memwhy::anonymize {

class Anonymizer : public events::EventSink {
 public:
  // `key`: as Words. `to` must outlive it.
  Anonymizer(events::EventSink& to, std::string_view key) : to_(to), names_(key) {}
  void on_event(const events::Event& event) override;

 private:
  struct Binary {
    std::string module;  // as it was
    bool go = false;
  };
  void change(events::RecordingInfo& e);
  void change(events::HookReport& e);
  void change(events::BinaryInfo& e);
  void change(events::SymbolInfo& e);
  void change(events::SpaceStart& e);
  void change(events::VmaList& e);
  void change(events::GoGoroutines& e);
  void change(events::RuntimePages& e);
  void change(events::AllocatorHeap& e);
  void change(events::CgroupMemory& e);

  events::EventSink& to_;
  Names names_;
  std::unordered_map<BinaryId, Binary> binaries_;
};

}  // namespace memwhy::anonymize
