// SPDX-License-Identifier: Apache-2.0
// The probe as the tests use it: opens or skips (fails under CI), and keeps what it said.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <set>
#include <tuple>
#include <vector>

#include "probe/kernel_probe.h"
#include "targets.h"

namespace memwhy::kernel_test {

struct Entry {
  StackId stack{};
  uint64_t tick = 0;
  uint8_t flags = 0;
  bool operator==(const Entry&) const = default;
};

// Everything that the probe emitted, and the page table as the differences say it is.
class Observer {
 public:
  explicit Observer(probe::Port& probe) : probe_(probe) {}

  probe::Port::Emit emit() {
    return [this](events::Event event) { take(std::move(event)); };
  }
  size_t drain() { return probe_.drain(emit()); }
  bool read(SpaceId space, bool restate = false) { return probe_.read_table(space, restate, emit()); }

  template <typename T>
  std::vector<T> all() const {
    std::vector<T> found;
    for (const events::Event& event : events_)
      if (const T* value = std::get_if<T>(&event.payload)) found.push_back(*value);
    return found;
  }
  template <typename T>
  std::vector<T> all(SpaceId space) const {
    std::vector<T> found = all<T>();
    std::erase_if(found, [space](const T& value) { return value.space != space; });
    return found;
  }
  // Sum of what was lost of that name.
  uint64_t lost(const std::string& what) const {
    uint64_t count = 0;
    for (const events::Loss& loss : all<events::Loss>())
      if (loss.what == what) count += loss.count;
    return count;
  }
  const std::vector<events::Event>& events() const { return events_; }
  void clear_events() { events_.clear(); }
  const std::map<StackId, events::Stack>& stacks() const { return stacks_; }
  std::map<PageNumber, Entry>& table(SpaceId space) { return tables_[space]; }
  // The entry of the page that holds this address; a default one when there is none.
  Entry entry(SpaceId space, uint64_t address) {
    const auto found = tables_[space].find(address >> kPageShift);
    return found == tables_[space].end() ? Entry{} : found->second;
  }
  std::vector<uint64_t> frames(StackId id) const {
    const auto found = stacks_.find(id);
    return found == stacks_.end() ? std::vector<uint64_t>{} : found->second.frames;
  }

 private:
  void take(events::Event event);
  probe::Port& probe_;
  std::vector<events::Event> events_;
  std::map<StackId, events::Stack> stacks_;
  std::set<std::tuple<StackId, SpaceId, events::Unwind>> given_;
  std::map<SpaceId, std::map<PageNumber, Entry>> tables_;
};

// nullptr: BPF cannot be used here; the reason is in `why`.
std::unique_ptr<probe::Port> open_probe(const probe::Options& options, std::string& why);

}  // namespace memwhy::kernel_test

// Under CI a test that cannot run has failed. Only what the kernel itself lacks or forbids is skipped there too.
#define CANNOT_RUN(why)                   \
  do {                                    \
    if (std::getenv("CI")) FAIL() << why; \
    GTEST_SKIP() << why;                  \
  } while (false)

#define OPEN_PROBE(name, ...)                                                         \
  std::string name##_why;                                                             \
  const auto name##_owner = memwhy::kernel_test::open_probe(__VA_ARGS__, name##_why); \
  if (!name##_owner) CANNOT_RUN(name##_why);                                          \
  memwhy::probe::Port& name = *name##_owner

#define TRACE(space, probe, pid, follow)                           \
  const auto space##_result = (probe).trace((pid), (follow));      \
  ASSERT_TRUE(space##_result) << space##_result.error().message(); \
  [[maybe_unused]] const memwhy::SpaceId space = *space##_result
