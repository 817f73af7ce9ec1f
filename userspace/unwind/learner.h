// SPDX-License-Identifier: Apache-2.0
// Learner: unwinds a copy of a thread's stack as the kernel side will, and yields the rule of every address on the way.
//
//   snapshot   ip 0x7f12…a1c0 memmove, sp 0x7ffd…e8f8, fp 0x55d0…4010, 16 KiB of stack from sp on
//
//   address                       rule                  frame             next
//   0x7f12…a1c0 interrupted       sp + 8                memmove           [0x7ffd…e8f8] = 0x55d0…1a31
//   0x55d0…1a31 return address    sp + 64, fp at -24    serve             [0x7ffd…e938] = 0x55d0…12f0
//   0x55d0…12f0 return address    fp + 16, fp at -16    main              …
//   0x55d0…1085 return address    the outermost frame   _start            whole
//
// What it is: the walk, over rules from Binaries, which are kept by function. What it is not: a store of snapshots, which
// contain the target's secrets: it keeps only addresses of code, and logs nothing.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/ids.h"
#include "events/event.h"
#include "symbols/binaries.h"
#include "symbols/unwind_rule.h"
#include "unwind/made_code.h"

namespace memwhy::unwind {

struct Snapshot {
  uint64_t ip = 0, sp = 0, fp = 0;
  bool is_return = false;            // `ip` is a return address: the registers of a frame on the way
  uint64_t address = 0;              // of the first byte of `stack`
  std::span<const std::byte> stack;  // as far as it was copied
};

enum class RuleSource : uint8_t {
  kTable,     // of the file
  kGuess,     // its file has none for it, or cannot be read: the frame pointer
  kMadeCode,  // a run time made it, now or when its file was built: the frame pointer, or what its tables say
};

struct LearnedRule {
  uint64_t address = 0;
  bool is_return = false;
  symbols::UnwindRule rule;
  RuleSource source{};
  bool operator==(const LearnedRule&) const = default;
};

// How far the frames can be relied on.
enum class How : uint8_t {
  kWhole,          // from rule to rule to the outermost frame
  kFramePointers,  // to an end, but some frame was guessed by the frame pointer
  kMadeCode,       // the same, and the code of the frame was made at run time (JIT)
  kCut,            // deeper than kMostFrames
  kUnreadable,     // the next word is not in the snapshot, or is no address of code
  kFirstOnly,      // nothing above the first frame
};

struct Learned {
  std::vector<LearnedRule> rules;  // in the order of the walk
  std::vector<uint64_t> frames;    // innermost first: the interrupted instruction, then return addresses
  size_t certain = 0;              // of them, before the first that is behind a guess, or is no code
  bool is_go = false;              // code of a Go program was met on the way
  AddressRange go_code;            // the same, if each caller in it has a frame pointer
  How how = How::kFirstOnly;
};

struct LearnerLimits {
  size_t rule_bytes = 16 << 20;  // of rules that are kept
  size_t mappings = 4096;        // of which it is known what file they are of
};

class Learner {
 public:
  static constexpr size_t kMostFrames = 128;
  static constexpr int kMostJumps = 8;  // to other stacks

  // `binaries` must outlive it, and `made`, where that is known.
  explicit Learner(symbols::Binaries& binaries, LearnerLimits limits = {}, MadeCode* made = nullptr)
      : binaries_(binaries), limits_(limits), made_(made) {}

  using Mappings = std::shared_ptr<const std::vector<events::Vma>>;

  // These will be learned from next. If one comes by a function that is not known, what all of them are likely to come by is asked
  // for together.
  struct Coming {
    Pid tgid = 0;
    Snapshot snapshot;
    Mappings mappings;
  };
  // In this order.
  void expect(std::vector<Coming> all) {
    coming_ = std::move(all);
    came_ = 0;
  }
  // `mappings`: of the process, in order of address.
  Learned learn(Pid tgid, const Snapshot& snapshot, const Mappings& mappings);

  size_t held_bytes() const { return held_bytes_; }

 private:
  struct MappingKey {
    Pid tgid = 0;
    uint64_t start = 0, device = 0, inode = 0, offset = 0;
    auto operator<=>(const MappingKey&) const = default;
  };
  struct File {
    enum class Kind : uint8_t { kUnreadable, kNotElf, kProgram } kind = Kind::kUnreadable;
    symbols::FileKey key;
    symbols::BinaryHandle handle{};
    bool is_go = false;
    AddressRange go_code;  // offsets in the file
  };
  struct Expected {  // of one file
    File file;
    std::vector<uint64_t> offsets;
  };
  struct Answer {
    symbols::UnwindRule rule;
    RuleSource source{};
    bool is_go = false;
    AddressRange go_code = {};
  };
  // Stacks have most of their addresses in common. Of one process at a time, while its mappings are the same.
  struct Recent {
    static constexpr size_t kMost = 16384;
    Pid tgid = 0;
    Mappings mappings;
    std::unordered_map<uint64_t, Answer> answers;  // by address, twice, and whether it is a return address
    std::unordered_set<uint64_t> noted;            // code that was asked for as likely
    bool is_full() const { return answers.size() + noted.size() >= kMost; }
  };
  class Walk;

  using Functions = std::map<uint64_t, symbols::FunctionRules>;  // by their end

  std::optional<Answer> rule(Pid tgid, const Walk& walk, const Mappings& mappings);
  Answer file_rule(Pid tgid, uint64_t address, bool is_return, const events::Vma& vma);
  const symbols::FunctionRules* function(Pid tgid, const events::Vma& vma, File& file, uint64_t offset);
  Answer made_code(Pid tgid, uint64_t address, const std::vector<events::Vma>& mappings);
  static const symbols::FunctionRules* find(const Functions& known, uint64_t offset);  // nullptr: not known
  void note(const Coming& coming);
  void note(const Coming& coming, uint64_t address);
  void ask();
  const symbols::FunctionRules* keep(const File& file, symbols::FunctionRules rules);
  File& file_of(Pid tgid, const events::Vma& vma);
  File open(Pid tgid, const events::Vma& vma);

  symbols::Binaries& binaries_;
  LearnerLimits limits_;
  MadeCode* made_;
  std::vector<Coming> coming_;
  size_t came_ = 0;  // of them
  Recent recent_;
  std::map<MappingKey, File> files_;
  std::unordered_map<symbols::FileKey, Expected, symbols::FileKeyHash> expected_;
  std::unordered_map<symbols::FileKey, Functions, symbols::FileKeyHash> functions_;
  size_t held_bytes_ = 0;
};

}  // namespace memwhy::unwind
