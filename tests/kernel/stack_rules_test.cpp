// SPDX-License-Identifier: Apache-2.0
// Stacks by unwind rules on the running kernel, learned as the program does it, against libgcc's unwinder, which the targets
// themselves ask.
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <random>

#include "rounds.h"
#include "school.h"
#include "stack_targets.h"
#include "support.h"

namespace memwhy::kernel_test {
namespace {

using events::Unwind;

std::vector<uint64_t> above(const Chain& chain) { return {chain.frame, chain.frame + chain.n}; }
std::vector<uint64_t> above(const events::Stack& stack) {
  if (stack.frames.empty()) return {};
  return {stack.frames.begin() + 1, stack.frames.end()};
}

std::string hex(const std::vector<uint64_t>& frames) {
  std::string text;
  char one[24];
  for (const uint64_t frame : frames) {
    std::snprintf(one, sizeof one, " %lx", static_cast<unsigned long>(frame));
    text += one;
  }
  return text;
}

// Is what it claims to be certain the chain as it was?
testing::AssertionResult is_true_as_far_as_it_claims(const events::Stack& stack, const Chain& chain) {
  const std::vector<uint64_t> is = above(stack), was = above(chain);
  const bool whole = stack.unwind == Unwind::kWhole || stack.unwind == Unwind::kRecovered;
  const size_t certain = whole ? std::max(is.size(), was.size()) : stack.certain > 0 ? stack.certain - 1 : 0;
  if (certain <= is.size() && certain <= was.size() &&
      std::equal(is.begin(), is.begin() + static_cast<ptrdiff_t>(certain), was.begin()))
    return testing::AssertionSuccess();
  return testing::AssertionFailure() << "found " << static_cast<int>(stack.unwind) << ", certain "
                                     << stack.certain << ":" << hex(is) << "\n     was" << hex(was);
}

using Touch = void (*)(char*, Chain&);
struct Way {
  const char* name;
  Touch touch;
};

class StackRules : public testing::TestWithParam<Way> {};

constexpr Way kWays[] = {
    {"plain", [](char* page, Chain& chain) { touch_below(6, page, chain); }},
    {"deep", [](char* page, Chain& chain) { touch_below(60, page, chain); }},
    {"realigned", touch_realigned},
    {"alloca", [](char* page, Chain& chain) { touch_with_alloca(3000, page, chain); }},
    {"signal", [](char* page, Chain& chain) { touch_in_signal(page, chain, false); }},
    {"signal_on_its_own_stack", [](char* page, Chain& chain) { touch_in_signal(page, chain, true); }},
    {"coroutine", touch_in_coroutine},
};
INSTANTIATE_TEST_SUITE_P(Way, StackRules, testing::ValuesIn(kWays),
                         [](const auto& way) { return way.param.name; });

// Met for the first time it is incomplete, and says so; what it was comes from its snapshot. From then on it is whole.
TEST_P(StackRules, AreLearnedFromTheFirstOfAKind) {
  constexpr size_t kRounds = 12;
  OPEN_SCHOOL(school, {});
  Rounds rounds;
  Shared<Chain> chains(kRounds);
  Target target([&](Report& report) {
    unwind_once();
    char* pages = fresh_pages(kRounds);
    report.address = reinterpret_cast<uint64_t>(pages);
    for (size_t i = 0; i < kRounds; ++i) {
      GetParam().touch(pages + i * kPage, chains[i]);
      rounds.over();
    }
  });
  TRACE(space, *school.port, target.pid(), false);
  target.start();
  Observer seen(*school.port);
  size_t first_whole = kRounds;
  for (size_t i = 0; i < kRounds; ++i) {
    rounds.wait();
    const char* page = reinterpret_cast<char*>(target.report().address) + i * kPage;
    const events::Stack before = stack_of(seen, space, page);
    ASSERT_FALSE(before.frames.empty());
    EXPECT_GE(before.frames[0], chains[i].touched);
    EXPECT_LT(before.frames[0], chains[i].touched + 256);
    EXPECT_TRUE(is_true_as_far_as_it_claims(before, chains[i])) << "round " << i;
    if (i == 0) {
      EXPECT_EQ(before.unwind, Unwind::kFramePointers);
      EXPECT_GE(before.certain, 1u);
    }
    school.learn();
    const events::Stack after = stack_of(seen, space, page);
    EXPECT_TRUE(is_true_as_far_as_it_claims(after, chains[i])) << "round " << i;
    if (before.unwind == Unwind::kWhole) first_whole = std::min(first_whole, i);
    rounds.next();
  }
  std::printf("%s: whole from round %zu on; %zu rules, %zu frames\n", GetParam().name, first_whole,
              school.unwinding->rules().held(), static_cast<size_t>(chains[0].n));
  EXPECT_LE(first_whole, 2u);
  target.wait_done();
}

// What a loop counts is on the stack, too, and changes from page to page. Its caller does not; another has a stack of its own.
TEST(StackRulesOfALoop, AllItsPagesAreCompletedByOneSnapshot) {
  constexpr size_t kPages = 64;
  OPEN_SCHOOL(school, {});
  Rounds rounds;
  Target target([&](Report& report) {
    char* pages = fresh_pages(2 * kPages + 1);
    report.address = reinterpret_cast<uint64_t>(pages);
    pages[2 * kPages * kPage] = 1;  // now its code becomes known
    rounds.over();
    count_pages_here(pages, kPages);
    count_pages_there(pages + kPages * kPage, kPages);
    rounds.over();
  });
  TRACE(space, *school.port, target.pid(), false);
  target.start();
  Observer seen(*school.port);
  rounds.wait();
  school.learn();
  const uint64_t before = school.teacher->totals().snapshots;
  rounds.next();
  rounds.wait();
  school.learn();
  EXPECT_LE(school.teacher->totals().snapshots - before, 4u) << "two, and none for each page";
  for (size_t i = 0; i < 2 * kPages; ++i) {
    const events::Stack stack =
        stack_of(seen, space, reinterpret_cast<char*>(target.report().address) + i * kPage);
    const auto caller = reinterpret_cast<uint64_t>(i < kPages ? &count_pages_here : &count_pages_there);
    ASSERT_EQ(stack.unwind, Unwind::kRecovered) << i;
    ASSERT_GE(stack.frames.size(), 4u);
    EXPECT_GT(stack.frames[2], caller) << i;
    EXPECT_LT(stack.frames[2], caller + 64) << i;
  }
  rounds.next();
  target.wait_done();
}

// Two files in turn at one address, which differ in the frame of one function and in nothing else.
class TwoFiles {
 public:
  static constexpr size_t kMany = 4096;
  Shared<Chain> chains{kMany};
  static const char* file(size_t i) {
    // eight generations later a key looks the same again: let the file be the other one
    return (i + i / 8) % 2 == 0 ? MEMWHY_WORKLOADS "/through_24.so" : MEMWHY_WORKLOADS "/through_88.so";
  }
  static void* place() { return ::mmap(nullptr, kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }
};

TEST(StackRulesOfCodeThatChanges, ARuleOfOneFileIsNeverUsedInAnother) {
  OPEN_SCHOOL(school, {});
  TwoFiles two;
  Rounds rounds;
  constexpr size_t kRounds = 16, kEach = 8;
  Target target([&](Report& report) {
    unwind_once();
    char* pages = fresh_pages(kRounds * kEach);
    void* at = TwoFiles::place();
    report.address = reinterpret_cast<uint64_t>(pages);
    for (size_t i = 0; i < kRounds * kEach; ++i) {
      static Through through = nullptr;
      if (i % kEach == 0) through = map_over(at, TwoFiles::file(i / kEach));
      report.values[0] = reinterpret_cast<uint64_t>(through);
      if (through == nullptr) break;
      touch_through(through, pages + i * kPage, two.chains[i]);
      rounds.over();
    }
  });
  TRACE(space, *school.port, target.pid(), false);
  target.start();
  Observer seen(*school.port);
  size_t whole_at_once = 0;
  std::set<uint64_t> returns;
  for (size_t i = 0; i < kRounds * kEach; ++i) {
    rounds.wait();
    ASSERT_NE(target.report().values[0], 0u) << "not mapped";
    const char* page = reinterpret_cast<char*>(target.report().address) + i * kPage;
    const events::Stack before = stack_of(seen, space, page);
    EXPECT_TRUE(is_true_as_far_as_it_claims(before, two.chains[i])) << "page " << i;
    whole_at_once += before.unwind == Unwind::kWhole;
    EXPECT_FALSE(i % kEach == 0 && before.unwind == Unwind::kWhole)
        << "page " << i << ": no rule of this code can be known";
    returns.insert(two.chains[i].frame[0]);
    school.learn();
    EXPECT_TRUE(is_true_as_far_as_it_claims(stack_of(seen, space, page), two.chains[i])) << "page " << i;
    rounds.next();
  }
  EXPECT_EQ(returns.size(), 1u) << "both have the same return address, or nothing was tested";
  EXPECT_GE(whole_at_once, kRounds * (kEach - 2));
  target.wait_done();
}

TEST(StackRulesOfCodeThatChanges, NorWhileItIsBeingLearned) {
  constexpr size_t kEach = 211;
  OPEN_SCHOOL(school, {});
  TwoFiles two;
  Target target([&](Report& report) {
    unwind_once();
    char* pages = fresh_pages(TwoFiles::kMany);
    void* at = TwoFiles::place();
    report.address = reinterpret_cast<uint64_t>(pages);
    for (size_t i = 0; i < TwoFiles::kMany; ++i) {
      static Through through = nullptr;
      if (i % kEach == 0) through = map_over(at, TwoFiles::file(i / kEach));
      touch_through(through, pages + i * kPage, two.chains[i]);
      report.values[0] = i;
    }
  });
  TRACE(space, *school.port, target.pid(), false);
  target.start();
  while (*static_cast<volatile uint64_t*>(&const_cast<Report&>(target.report()).values[0]) + 1 <
         TwoFiles::kMany)
    school.teacher->look();
  target.wait_done();
  school.learn();
  Observer seen(*school.port);
  seen.drain();
  seen.read(space);
  std::map<Unwind, size_t> how;
  for (size_t i = 0; i < TwoFiles::kMany; ++i) {
    const auto found = seen.stacks().find(seen.entry(space, target.report().address + i * kPage).stack);
    ASSERT_NE(found, seen.stacks().end());
    const events::Stack& stack = found->second;
    ASSERT_FALSE(stack.frames.empty());
    EXPECT_TRUE(is_true_as_far_as_it_claims(stack, two.chains[i])) << "page " << i;
    ++how[stack.unwind];
  }
  for (const auto& [kind, pages] : how) std::printf("unwind %d: %zu pages\n", static_cast<int>(kind), pages);
}

TEST(StackRulesOfCodeThatChanges, ASpaceThatIsTracedAgainHasNoOldRules) {
  OPEN_SCHOOL(school, {});
  TwoFiles two;
  Rounds rounds;
  constexpr size_t kTouches = 6;
  Target target([&](Report& report) {
    unwind_once();
    char* pages = fresh_pages(kTouches);
    void* at = TwoFiles::place();
    report.address = reinterpret_cast<uint64_t>(pages);
    Through through = map_over(at, TwoFiles::file(0));
    for (size_t i = 0; i < kTouches; ++i) {
      if (i == kTouches / 2) through = map_over(at, TwoFiles::file(1));
      touch_through(through, pages + i * kPage, two.chains[i]);
      rounds.over();
    }
  });
  Observer seen(*school.port);
  const auto touched = [&](SpaceId space, size_t i) {
    rounds.wait();
    return stack_of(seen, space, reinterpret_cast<char*>(target.report().address) + i * kPage);
  };
  TRACE(first, *school.port, target.pid(), false);
  target.start();
  for (size_t i = 0; i < kTouches / 2; ++i) {
    const events::Stack stack = touched(first, i);
    EXPECT_EQ(stack.unwind == Unwind::kWhole, i > 0) << i;
    EXPECT_TRUE(is_true_as_far_as_it_claims(stack, two.chains[i]));
    school.learn();
    if (i + 1 < kTouches / 2) rounds.next();
  }
  ASSERT_TRUE(school.port->untrace(first));
  rounds.next();
  rounds.wait();  // the other file, touched while nobody looks
  TRACE(second, *school.port, target.pid(), false);
  rounds.next();
  const events::Stack stack = touched(second, kTouches / 2 + 1);
  EXPECT_NE(stack.unwind, Unwind::kWhole);
  EXPECT_TRUE(is_true_as_far_as_it_claims(stack, two.chains[kTouches / 2 + 1]));
  school.learn();
  rounds.next();
  const events::Stack last = touched(second, kTouches / 2 + 2);
  EXPECT_EQ(last.unwind, Unwind::kWhole);
  EXPECT_TRUE(is_true_as_far_as_it_claims(last, two.chains[kTouches / 2 + 2]));
  rounds.next();
  target.wait_done();
}

// A program maps most of its code as it begins: who learns is woken, and does not find it out in his own time.
TEST(StackRulesTable, WhoLearnsIsWokenByASpaceWhoseCodeIsNotKnown) {
  constexpr std::chrono::minutes kForEver{2};
  OPEN_SCHOOL(school, {});
  Rounds rounds;
  Target target([&](Report&) {
    char* pages = fresh_pages(2);
    for (const size_t at : {size_t{0}, kPage}) {
      pages[at] = 1;
      rounds.over();
    }
  });
  TRACE(space, *school.port, target.pid(), false);
  target.start();
  EXPECT_TRUE(school.unwinding->wait(kForEver));
  EXPECT_GE(school.unwinding->snapshots().sent, 1u);
  rounds.wait();
  school.learn();
  static_cast<void>(school.unwinding->wait({}));  // what else rang
  EXPECT_FALSE(school.unwinding->wait({}));
  school.unwinding->wake();
  EXPECT_TRUE(school.unwinding->wait(kForEver));
  rounds.next();
  rounds.wait();
  rounds.next();
  target.wait_done();
}

// A table without room: the stacks are those of frame pointers, and no page is without one.
TEST(StackRulesTable, FullIsFramePointersAsBefore) {
  OPEN_SCHOOL(school, {});
  Rounds rounds;
  Target target([&](Report& report) {
    char* pages = fresh_pages(4);
    report.address = reinterpret_cast<uint64_t>(pages);
    for (size_t i = 0; i < 4; ++i) {
      touch_deep(5, pages + i * kPage, report);
      rounds.over();
    }
  });
  Target hog([](Report&) {});
  TRACE(space, *school.port, target.pid(), false);
  TRACE(other, *school.port, hog.pid(), false);
  std::vector<probe::AddressRule> rules;
  // Spread at random and more than fit: one that meets a full neighbourhood is refused too, and leaves room.
  std::mt19937_64 spread(1);
  for (uint64_t i = 0; i < 4 * probe::RuleTable::kMost; ++i)
    rules.push_back({spread() % MW_RULE_IP, true, MW_RULE_POINTER});
  probe::RuleTable& table = school.unwinding->rules();
  for (const SpaceId of : {space, other}) {
    const auto generation = table.generation(of);
    ASSERT_TRUE(generation);
    EXPECT_TRUE(table.publish(of, *generation, rules));
  }
  EXPECT_LE(table.held(), probe::RuleTable::kMost);
  const uint64_t refused = table.refused();
  EXPECT_GT(refused, 0u);
  target.start();
  Observer seen(*school.port);
  for (size_t i = 0; i < 4; ++i) {
    rounds.wait();
    const char* page = reinterpret_cast<char*>(target.report().address) + i * kPage;
    seen.drain();
    seen.read(space);
    const Entry entry = seen.entry(space, reinterpret_cast<uint64_t>(page));
    const auto stack = seen.stacks().find(entry.stack);
    ASSERT_NE(stack, seen.stacks().end());
    const Report& truth = target.report();
    EXPECT_EQ(stack->second.unwind, Unwind::kFramePointers) << "page " << i;
    ASSERT_GT(stack->second.frames.size(), 6u);
    for (size_t f = 0; f < 6; ++f) EXPECT_EQ(stack->second.frames[f + 1], truth.frame[f]) << f;
    const auto generation = table.generation(space);
    std::vector<probe::AddressRule> learned{{stack->second.frames[0], false, MW_RULE_POINTER}};
    EXPECT_TRUE(table.publish(space, *generation, learned));
    rounds.next();
  }
  EXPECT_EQ(table.refused(), refused + 4);
  target.wait_done();
}

// Each fault that a trail answers is walked too, in a hook that compares.
TEST(Trails, AgreeWithTheWalk) {
  constexpr size_t kRounds = 4, kPages = 4096;
  probe::Options options;
  options.check_trails = true;
  OPEN_SCHOOL(school, options);
  Rounds rounds;
  Target target([&](Report& report) {
    char* pages = fresh_pages(kPages);
    report.address = reinterpret_cast<uint64_t>(pages);
    for (size_t i = 0; i < kRounds; ++i) {
      for (const auto& [depth, sites] : {std::pair(0u, 1u), {8u, 1u}, {20u, 8u}, {3u, 3u}}) {
        ::madvise(pages, kPages * kPage, MADV_DONTNEED);
        touch_pages(pages, kPages, depth, sites);
      }
      ::madvise(pages, kPages * kPage, MADV_DONTNEED);
      touch_by_class(pages, kPages);
      rounds.over();
    }
  });
  TRACE(space, *school.port, target.pid(), false);
  target.start();
  for (size_t i = 0; i < kRounds; ++i) {
    rounds.wait();
    school.learn();
    rounds.next();
  }
  target.wait_done();
  const probe::TrailCounts trails = school.unwinding->trails();
  std::printf("trails: %lu used, %lu made, %lu wrong, of %lu faults\n",
              static_cast<unsigned long>(trails.used), static_cast<unsigned long>(trails.made),
              static_cast<unsigned long>(trails.wrong),
              static_cast<unsigned long>(school.port->coverage().faults_seen));
  if (school.port->hooks().stack_read == "bulk") GTEST_SKIP() << "stacks are read at once: no trails";
  EXPECT_GT(trails.used, 10'000u);
  EXPECT_EQ(trails.wrong, 0u);
}

// The words of a trail stay as they were in a page that the stack has left: its child has that.
TEST(Trails, AreNotFoundInAPageThatTheStackHasLeft) {
  constexpr size_t kPages = 256, kRounds = 4;
  probe::Options options;
  options.check_trails = true;
  OPEN_SCHOOL(school, options);
  Rounds rounds;
  Target target([&](Report& report) {
    char* pages = fresh_pages(2 * kPages);
    report.address = reinterpret_cast<uint64_t>(pages);
    for (size_t i = 0; i < kRounds; ++i) {
      ::madvise(pages, 2 * kPages * kPage, MADV_DONTNEED);
      count_pages_here(pages, kPages);
      const int child = fork_that_waits();
      count_pages_there(pages + kPages * kPage, kPages);
      ::kill(child, SIGKILL);
      ::waitpid(child, nullptr, 0);
      rounds.over();
    }
  });
  TRACE(space, *school.port, target.pid(), false);
  target.start();
  Observer seen(*school.port);
  for (size_t i = 0; i < kRounds; ++i) {
    rounds.wait();
    school.learn();
    if (i + 1 == kRounds) {
      const events::Stack stack =
          stack_of(seen, space, reinterpret_cast<char*>(target.report().address) + kPages * kPage);
      const auto caller = reinterpret_cast<uint64_t>(&count_pages_there);
      ASSERT_GE(stack.frames.size(), 4u);
      EXPECT_GT(stack.frames[2], caller);
      EXPECT_LT(stack.frames[2], caller + 64);
    }
    rounds.next();
  }
  target.wait_done();
  const probe::TrailCounts trails = school.unwinding->trails();
  if (school.port->hooks().stack_read == "bulk") GTEST_SKIP() << "stacks are read at once: no trails";
  EXPECT_GT(trails.used, kPages / 2);
  EXPECT_EQ(trails.wrong, 0u);
}

}  // namespace
}  // namespace memwhy::kernel_test
