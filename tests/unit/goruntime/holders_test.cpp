// SPDX-License-Identifier: Apache-2.0
// From what the heap of a live program hangs, of which it is known: workloads/go_held.
#include <gtest/gtest.h>

#include <string>

#include "goruntime/goroutine_groups.h"
#include "goruntime/goroutines.h"
#include "goruntime/holders.h"
#include "goruntime/pages.h"
#include "goruntime/spans.h"
#include "unit/goruntime/go_programs.h"
#include "unit/goruntime/live_target.h"

namespace memwhy::goruntime::test {
namespace {

constexpr uint64_t kMiB = 1 << 20;
using Kind = events::GoHolder::Kind;

class Holders : public testing::TestWithParam<int> {
 protected:
  void start(const char* story) {
    const Build build{release(GetParam()), Variant::kPlain, "go_held"};
    path_ = built(build);
    MEMWHY_REQUIRE_BUILT(path_, build);
    target_ = std::make_unique<LiveTarget>(path_, std::vector<std::string>{story});
    ASSERT_TRUE(target_->wait_for("ready"));
    target_->tell("go on");
    ASSERT_TRUE(target_->wait_for("done"));
    target_->wait_until_still();
    std::optional<GoProgram> found = target_->program();
    ASSERT_TRUE(found);
    memory_ = target_->memory();
    Result<Globals> globals = find_globals(*memory_, *layout_of(GetParam()), found->image);
    ASSERT_TRUE(globals) << globals.error().message();
    globals_ = std::move(*globals);
    auto bytes = symbols::FileBytes::open(Fd(::open(path_.c_str(), O_RDONLY | O_CLOEXEC)), uint64_t{1} << 30);
    ASSERT_TRUE(bytes);
    auto binary = symbols::Binary::open(std::move(*bytes));
    ASSERT_TRUE(binary);
    binary_ = std::move(*binary);  // not a PIE: its addresses are those of the process
  }

  std::optional<events::GoHeld> read(const ReachBudget& budget = {}, bool with_symbols = true) {
    std::optional<Holding> holding = read_all(budget, with_symbols);
    if (!holding) return std::nullopt;
    return std::move(holding->held);
  }

  std::optional<Holding> read_all(const ReachBudget& budget, bool with_symbols) {
    const Result<GoroutineList> list = read_goroutines(*memory_, globals_);
    const Result<HeapPages> pages = read_pages(*memory_, globals_);
    if (!list || !pages || !pages->verified) return std::nullopt;
    Result<SpanTable> spans = read_spans(*memory_, globals_, *pages);
    if (!spans) return std::nullopt;
    const Groups groups = largest_groups(*list, 4096);
    std::vector<AddressRange> variables;
    if (with_symbols) variables = binary_->variables(1 << 18);
    const std::vector<AddressRange> resident = {{0, ~uint64_t{0}}};
    return holders(*memory_, globals_, *spans, *list, {variables, groups.members, {}, resident}, budget);
  }

  std::string name_of(const events::GoHolder& holder) {
    return binary_->variable_names({holder.address}).front();
  }

  std::string path_;
  std::unique_ptr<LiveTarget> target_;
  std::unique_ptr<remote::ProcessMemory> memory_;
  std::unique_ptr<symbols::Binary> binary_;
  Globals globals_;
};
INSTANTIATE_TEST_SUITE_P(Go, Holders, testing::Values(19, 24, 27), testing::PrintToStringParamName());

// Both ends of the list lead to all of it: words of one variable have one color.
TEST_P(Holders, a_variable_of_several_words) {
  ASSERT_NO_FATAL_FAILURE(start("chain"));
  if (!target_) return;
  const std::optional<events::GoHeld> held = read();
  ASSERT_TRUE(held && !held->holders.empty());
  EXPECT_TRUE(held->complete);
  const events::GoHolder& first = held->holders.front();
  EXPECT_EQ(first.kind, Kind::kVariable);
  EXPECT_EQ(name_of(first), "main.recent");
  EXPECT_GE(first.bytes, 96 * kMiB);
  EXPECT_LT(first.bytes, 96 * kMiB + kMiB / 8);
  EXPECT_EQ(first.resident_bytes, first.bytes);
  EXPECT_EQ(first.sizes.front(), (events::GoSizeClass{kMiB, 96}));
  EXPECT_EQ(binary_->variable_users({first.address}).front(), "main.chain");
  // Without a symbol table each word is one of its own, and there are two: nothing hangs from one alone.
  const std::optional<events::GoHeld> stripped = read({}, false);
  ASSERT_TRUE(stripped);
  uint64_t shared = 0;
  for (const events::GoHolder& holder : stripped->holders) {
    EXPECT_LT(holder.bytes, kMiB);
    shared += holder.also_bytes;
  }
  EXPECT_GE(shared, 96 * kMiB);
}

TEST_P(Holders, a_map_without_entries) {
  ASSERT_NO_FATAL_FAILURE(start("emptied"));
  if (!target_) return;
  const std::optional<events::GoHeld> held = read();
  ASSERT_TRUE(held && !held->holders.empty());
  const events::GoHolder& first = held->holders.front();
  EXPECT_EQ(name_of(first), "main.sessions");
  EXPECT_EQ(first.entries, 0u);
  EXPECT_GE(first.slots, 1'000'000u);
  EXPECT_GE(first.bytes, first.slots * 64);
}

// The linker laid out what the variable points to: database, array of tables and table, none of which has a symbol.
TEST_P(Holders, a_variable_that_leads_to_others_without_a_symbol) {
  ASSERT_NO_FATAL_FAILURE(start("pointed"));
  if (!target_) return;
  const std::optional<events::GoHeld> held = read();
  ASSERT_TRUE(held && !held->holders.empty());
  const events::GoHolder& first = held->holders.front();
  EXPECT_EQ(name_of(first), "main.db");
  EXPECT_EQ(first.entries, 0u);
  EXPECT_GE(first.slots, 1'000'000u);
  EXPECT_GE(first.bytes, first.slots * 64);
  // Without a symbol table the code tells: it refers to the variable alone.
  const std::optional<Holding> stripped = read_all({}, false);
  ASSERT_TRUE(stripped && !stripped->led_by.empty());
  EXPECT_GE(stripped->held.holders.front().bytes, first.slots * 64);
  const std::vector<uint64_t>& led_by = stripped->led_by.front();
  ASSERT_EQ(led_by.size(), 3u);
  EXPECT_EQ(led_by.back(), first.address);
  EXPECT_EQ(
      binary_->variable_users({stripped->held.holders.front().address, led_by[0], led_by[1], led_by[2]}),
      (std::vector<std::string>{"", "", "", "main.pointed"}));
}

// Neither is a table of it taken for a text of which a part is kept.
TEST_P(Holders, a_map_without_entries_behind_an_interface) {
  ASSERT_NO_FATAL_FAILURE(start("hidden"));
  if (!target_) return;
  const std::optional<events::GoHeld> held = read();
  ASSERT_TRUE(held && !held->holders.empty());
  const events::GoHolder& first = held->holders.front();
  EXPECT_EQ(first.kind, Kind::kGoroutines);
  EXPECT_GE(first.bytes, 1'000'000u * 64);
  EXPECT_EQ(first.pinned, 0u);
  if (GetParam() < 24) return;  // their maps are not known by what refers to them
  EXPECT_EQ(first.entries, 0u);
  EXPECT_GE(first.slots, 1'000'000u);
}

TEST_P(Holders, texts_of_which_a_part_is_kept) {
  ASSERT_NO_FATAL_FAILURE(start("texts"));
  if (!target_) return;
  const std::optional<events::GoHeld> held = read();
  ASSERT_TRUE(held && !held->holders.empty());
  const events::GoHolder& first = held->holders.front();
  EXPECT_EQ(name_of(first), "main.matches");
  EXPECT_EQ(first.pinned, 256u);
  EXPECT_EQ(first.pinned_bytes, 64 * kMiB);
  EXPECT_EQ(first.used_bytes, 256u * 51);
}

// Of the size of a Pool, or one word of it where there are no symbols; after a collection they are its victims.
TEST_P(Holders, a_pool) {
  ASSERT_NO_FATAL_FAILURE(start("pool"));
  if (!target_) return;
  for (const bool with_symbols : {true, false}) {
    const std::optional<events::GoHeld> held = read({}, with_symbols);
    ASSERT_TRUE(held && !held->holders.empty());
    const events::GoHolder& first = held->holders.front();
    EXPECT_EQ(first.kind, Kind::kVariable);
    EXPECT_GE(first.bytes, 64 * kMiB);
    EXPECT_GE(first.pool_lists, 1u);
    for (size_t i = 1; i < held->holders.size(); ++i) EXPECT_LT(held->holders[i].bytes, kMiB);
  }
  ASSERT_NO_FATAL_FAILURE(start("chain"));
  for (const bool with_symbols : {true, false}) {
    const std::optional<events::GoHeld> held = read({}, with_symbols);
    ASSERT_TRUE(held);
    for (const events::GoHolder& holder : held->holders)
      EXPECT_TRUE(holder.pool_lists == 0 || holder.bytes < kMiB);
  }
}

TEST_P(Holders, a_goroutine_and_two_variables) {
  ASSERT_NO_FATAL_FAILURE(start("local"));
  if (!target_) return;
  const std::optional<events::GoHeld> local = read();
  ASSERT_TRUE(local && !local->holders.empty());
  EXPECT_EQ(local->holders.front().kind, Kind::kGoroutines);
  EXPECT_EQ(local->holders.front().count, 1u);
  EXPECT_GE(local->holders.front().bytes, 64 * kMiB);

  ASSERT_NO_FATAL_FAILURE(start("twice"));
  const std::optional<events::GoHeld> twice = read();
  ASSERT_TRUE(twice && !twice->holders.empty());
  const events::GoHolder& nearest = twice->holders.front();
  EXPECT_TRUE(name_of(nearest) == "main.one" || name_of(nearest) == "main.other") << name_of(nearest);
  EXPECT_LT(nearest.bytes, kMiB);
  EXPECT_GE(nearest.also_bytes, 64 * kMiB);
}

TEST_P(Holders, a_walk_that_ended_early_says_so) {
  ASSERT_NO_FATAL_FAILURE(start("chain"));
  if (!target_) return;
  const std::optional<events::GoHeld> held = read({.objects = 64});
  ASSERT_TRUE(held);
  EXPECT_FALSE(held->complete);
}

}  // namespace
}  // namespace memwhy::goruntime::test
