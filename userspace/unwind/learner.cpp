// SPDX-License-Identifier: Apache-2.0
#include "unwind/learner.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "events/mapping_at.h"

namespace memwhy::unwind {
namespace {

using symbols::FunctionRules;
using symbols::kFramePointerRule;
using symbols::UnwindRule;
using Kind = UnwindRule::Kind;

// Of an rt_sigframe: where the interrupted registers are, from the stack pointer on.
constexpr uint64_t kSavedFrame = 120, kSavedStack = 160, kSavedAddress = 168;

constexpr uint64_t kMostRoom = 256 << 10;  // for the locals of an interpreted method

constexpr size_t kRuleOverhead = 128;  // of a function beside its rows

constexpr uint64_t kLookAhead = 4096;   // of the stack, for return addresses
constexpr size_t kMostExpected = 4096;  // of one file, before they are asked for

std::optional<uint64_t> word_at(const Snapshot& snapshot, uint64_t address) {
  if (address < snapshot.address) return std::nullopt;
  const uint64_t within = address - snapshot.address;
  if (snapshot.stack.size() < sizeof(uint64_t) || within > snapshot.stack.size() - sizeof(uint64_t))
    return std::nullopt;
  uint64_t word = 0;
  std::memcpy(&word, snapshot.stack.data() + within, sizeof word);
  return word;
}

}  // namespace

// The registers of the frame that the walk is at.
class Learner::Walk {
 public:
  explicit Walk(const Snapshot& snapshot)
      : snapshot_(snapshot),
        ip_(snapshot.ip),
        sp_(snapshot.sp),
        fp_(snapshot.fp),
        is_return_(snapshot.is_return) {}

  enum class Step : uint8_t { kOn, kEnd, kUnreadable };
  Step step(const UnwindRule& rule, bool may_jump);

  uint64_t ip() const { return ip_; }
  uint64_t sp() const { return sp_; }
  const Snapshot& snapshot() const { return snapshot_; }
  bool is_return() const { return is_return_; }

 private:
  Step leave_signal();
  std::optional<uint64_t> saved_frame(uint64_t address) const;
  Step leave(uint64_t cfa, uint64_t saved, bool may_jump);
  void skip_room(uint64_t sp);

  const Snapshot& snapshot_;
  uint64_t ip_, sp_, fp_;
  bool is_return_;
  int jumps_ = kMostJumps;
};

Learner::Walk::Step Learner::Walk::step(const UnwindRule& rule, bool may_jump) {
  const auto bytes = static_cast<uint64_t>(int64_t{rule.bytes});
  switch (rule.kind) {
    case Kind::kEnd:
      return Step::kEnd;
    case Kind::kSignal:
      return leave_signal();
    case Kind::kInterpreted:
    case Kind::kStack:
    case Kind::kFrame: {
      if (rule.kind != Kind::kStack && fp_ < kPageBytes) return Step::kEnd;
      if (rule.kind != Kind::kStack && fp_ % 8 != 0) return Step::kUnreadable;
      const uint64_t cfa = (rule.kind == Kind::kStack ? sp_ : fp_) + bytes;
      const std::optional<uint64_t> saved =
          rule.saved == 0 ? fp_ : saved_frame(cfa - uint64_t{8} * rule.saved);
      if (!saved) return Step::kUnreadable;
      const std::optional<uint64_t> caller_sp =
          rule.kind == Kind::kInterpreted ? word_at(snapshot_, fp_ - 8) : std::nullopt;
      const Step step = leave(cfa, *saved, may_jump);
      if (step == Step::kOn && caller_sp) skip_room(*caller_sp);
      return step;
    }
    case Kind::kRealigned: {
      const std::optional<uint64_t> cfa = word_at(snapshot_, fp_ + bytes), saved = word_at(snapshot_, fp_);
      return cfa && saved ? leave(*cfa, *saved, may_jump) : Step::kUnreadable;
    }
    case Kind::kNone:
    case Kind::kKept:
    case Kind::kStop:
      break;
  }
  return Step::kUnreadable;
}

// By the tables it is still there when it was popped a moment ago, below the stack pointer: the copy does not have it, but the
// register does.
std::optional<uint64_t> Learner::Walk::saved_frame(uint64_t address) const {
  constexpr uint64_t kRedZone = 128;
  const bool popped = !is_return_ && address < sp_ && sp_ - address <= kRedZone;
  const std::optional<uint64_t> word = word_at(snapshot_, address);
  return !word && popped ? std::optional(fp_) : word;
}

Learner::Walk::Step Learner::Walk::leave_signal() {
  const std::optional<uint64_t> ip = word_at(snapshot_, sp_ + kSavedAddress),
                                fp = word_at(snapshot_, sp_ + kSavedFrame),
                                sp = word_at(snapshot_, sp_ + kSavedStack);
  if (!ip || !fp || !sp) return Step::kUnreadable;
  // The handler may have run on a stack of its own; that is a jump.
  if (*sp <= sp_ && jumps_-- == 0) return Step::kUnreadable;
  ip_ = *ip;
  fp_ = *fp;
  sp_ = *sp;
  is_return_ = false;
  return Step::kOn;
}

Learner::Walk::Step Learner::Walk::leave(uint64_t cfa, uint64_t saved, bool may_jump) {
  if (cfa <= sp_ && (!may_jump || jumps_-- == 0)) return Step::kUnreadable;
  const std::optional<uint64_t> ip = word_at(snapshot_, cfa - 8);
  if (!ip) return Step::kUnreadable;
  if (*ip < kPageBytes) return Step::kEnd;
  ip_ = *ip;
  fp_ = saved;
  sp_ = cfa;
  is_return_ = true;
  return Step::kOn;
}

// A caller may have made room for what was called, above the return address.
void Learner::Walk::skip_room(uint64_t sp) {
  if (sp >= sp_ && sp - sp_ < kMostRoom && sp % 8 == 0) sp_ = sp;
}

Learned Learner::learn(Pid tgid, const Snapshot& snapshot, const Mappings& mappings) {
  Learned learned;
  Walk walk(snapshot);
  bool guessed = false, made_code = false;
  learned.how = How::kUnreadable;
  came_ = std::min(came_ + 1, coming_.size());
  while (true) {
    if (learned.frames.size() == kMostFrames) {
      learned.how = How::kCut;
      break;
    }
    learned.frames.push_back(walk.ip());
    const std::optional<Answer> answer = rule(tgid, walk, mappings);
    if (!answer) break;
    if (!guessed && !made_code) learned.certain = learned.frames.size();
    learned.is_go = learned.is_go || answer->is_go;
    if (!answer->go_code.empty()) learned.go_code = answer->go_code;
    learned.rules.push_back({walk.ip(), walk.is_return(), answer->rule, answer->source});
    made_code = made_code || answer->source == RuleSource::kMadeCode;
    const bool is_guess = answer->source == RuleSource::kGuess;
    guessed = guessed || is_guess;
    const Walk::Step step = walk.step(answer->rule, learned.is_go);
    // What a guess finds at an end is no proof that it is one.
    const bool proves = answer->source == RuleSource::kTable;
    if (step == Walk::Step::kUnreadable || (step == Walk::Step::kEnd && !proves)) break;
    if (step == Walk::Step::kOn) continue;
    learned.how = made_code ? How::kMadeCode : guessed ? How::kFramePointers : How::kWhole;
    return learned;
  }
  if (learned.frames.size() == 1) learned.how = How::kFirstOnly;
  return learned;
}

Learner::Answer Learner::made_code(Pid tgid, uint64_t address, const std::vector<events::Vma>& mappings) {
  const auto known = made_ != nullptr ? made_->rule(tgid, address, mappings) : std::nullopt;
  return {known.value_or(kFramePointerRule), RuleSource::kMadeCode};
}

// Nothing: it is no code.
std::optional<Learner::Answer> Learner::rule(Pid tgid, const Walk& walk, const Mappings& mappings) {
  if (recent_.tgid != tgid || recent_.mappings != mappings || recent_.is_full())
    recent_ = {tgid, mappings, {}, {}};
  const uint64_t address = walk.ip(), key = address << 1 | (walk.is_return() ? 1 : 0);
  if (const auto known = recent_.answers.find(key); known != recent_.answers.end()) return known->second;
  const uint64_t looked_at = walk.is_return() && address != 0 ? address - 1 : address;
  const events::Vma* vma = events::mapping_at(*mappings, looked_at);
  if (vma == nullptr || !vma->exec) return std::nullopt;
  // What its run time says of it changes.
  if (vma->inode == 0 && vma->name != "[vdso]") return made_code(tgid, looked_at, *mappings);
  const Answer answer = file_rule(tgid, looked_at, walk.is_return(), *vma);
  if (answer.source != RuleSource::kGuess) recent_.answers.emplace(key, answer);
  return answer;
}

// Of code of a file. A guess may be one because the file could not be asked now.
Learner::Answer Learner::file_rule(Pid tgid, uint64_t address, bool is_return, const events::Vma& vma) {
  File& file = file_of(tgid, vma);
  Answer answer{kFramePointerRule, RuleSource::kGuess, file.is_go, {}};
  if (file.go_code.start >= vma.offset && !file.go_code.empty() &&
      file.go_code.end - vma.offset <= vma.range.bytes())
    answer.go_code = {vma.range.start + (file.go_code.start - vma.offset),
                      vma.range.start + (file.go_code.end - vma.offset)};
  if (file.kind == File::Kind::kNotElf) answer.source = RuleSource::kMadeCode;
  if (file.kind != File::Kind::kProgram) return answer;
  const uint64_t offset = address - vma.range.start + vma.offset;
  const FunctionRules* rules = function(tgid, vma, file, offset);
  const symbols::RuleRow* row = rules != nullptr ? rules->row(offset) : nullptr;
  if (row == nullptr) return answer;
  const UnwindRule& rule = is_return ? row->after_call : row->at;
  if (rule.kind == Kind::kKept) {
    answer.source = RuleSource::kMadeCode;
    return answer;
  }
  answer.rule = rule;
  answer.source = rules->is_guess(rule) ? RuleSource::kGuess : RuleSource::kTable;
  return answer;
}

const FunctionRules* Learner::find(const Functions& known, uint64_t offset) {
  const auto found = known.upper_bound(offset);
  return found != known.end() && found->second.contains(offset) ? &found->second : nullptr;
}

void Learner::note(const Coming& coming, uint64_t address) {
  const events::Vma* const vma = events::mapping_at(*coming.mappings, address);
  if (vma == nullptr || !vma->exec || vma->inode == 0) return;
  const bool same = recent_.tgid == coming.tgid && recent_.mappings == coming.mappings;
  if (same && !recent_.noted.insert(address).second) return;
  const File& file = file_of(coming.tgid, *vma);
  const uint64_t offset = address - vma->range.start + vma->offset;
  if (file.kind != File::Kind::kProgram || find(functions_[file.key], offset) != nullptr) return;
  Expected& expected = expected_.try_emplace(file.key, Expected{file, {}}).first->second;
  if (expected.offsets.size() < kMostExpected) expected.offsets.push_back(offset);
}

// The instruction itself, and what of the stack above it looks like a return address.
void Learner::note(const Coming& coming) {
  const Snapshot& snapshot = coming.snapshot;
  if (coming.mappings->empty()) return;
  const uint64_t lowest = coming.mappings->front().range.start;
  note(coming, snapshot.is_return ? snapshot.ip - 1 : snapshot.ip);
  for (uint64_t at = snapshot.sp; at < snapshot.sp + kLookAhead; at += 8) {
    const std::optional<uint64_t> word = word_at(snapshot, at);
    // most are numbers, or of the stack itself
    if (word && *word > lowest && *word - snapshot.address >= snapshot.stack.size()) note(coming, *word - 1);
  }
}

// A question costs a word with another process, and each further address little. What is not answered now is asked again by who
// needs it.
void Learner::ask() {
  const std::vector<Coming> all = std::exchange(coming_, {});
  const size_t learned = came_ > 0 ? came_ - 1 : 0;  // the last that came is being learned from
  for (const Coming& coming : std::span(all).subspan(learned)) note(coming);
  for (auto& [key, expected] : expected_) {
    std::vector<uint64_t>& offsets = expected.offsets;
    std::sort(offsets.begin(), offsets.end());
    offsets.erase(std::unique(offsets.begin(), offsets.end()), offsets.end());
    std::vector<symbols::CodeOffset> asked;
    for (const uint64_t offset : offsets) asked.push_back({offset, false});
    auto answer = binaries_.frame_rules(expected.file.handle, asked);
    if (!answer || answer->size() != asked.size()) continue;
    for (size_t i = 0; i < asked.size(); ++i)
      if ((*answer)[i].well_formed() && (*answer)[i].contains(asked[i].file_offset))
        keep(expected.file, std::move((*answer)[i]));
  }
  expected_.clear();
}

const FunctionRules* Learner::function(Pid tgid, const events::Vma& vma, File& file, uint64_t offset) {
  if (const FunctionRules* const found = find(functions_[file.key], offset)) return found;
  if (!coming_.empty()) {
    ask();
    File& same = file_of(tgid, vma);  // it may have been forgotten
    return same.kind == File::Kind::kProgram ? function(tgid, vma, same, offset) : nullptr;
  }
  const std::array asked{symbols::CodeOffset{offset, false}};
  auto answer = binaries_.frame_rules(file.handle, asked);
  if (!answer && answer.error().code() == ErrorCode::kAbsent) {
    const symbols::FileKey before = file.key;
    file = open(tgid, vma);
    if (file.kind != File::Kind::kProgram || !(file.key == before)) return nullptr;
    answer = binaries_.frame_rules(file.handle, asked);
  }
  if (!answer || answer->size() != 1 || !answer->front().well_formed() || !answer->front().contains(offset)) {
    file.kind = File::Kind::kUnreadable;
    return nullptr;
  }
  return keep(file, std::move(answer->front()));
}

const FunctionRules* Learner::keep(const File& file, FunctionRules rules) {
  const size_t bytes = rules.rows.size() * sizeof(symbols::RuleRow) + kRuleOverhead;
  if (held_bytes_ + bytes > limits_.rule_bytes) {
    functions_.clear();
    held_bytes_ = 0;
  }
  held_bytes_ += bytes;
  const uint64_t end = rules.end;
  Functions& functions = functions_[file.key];
  const auto old = functions.find(end);
  if (old != functions.end()) {
    held_bytes_ -= old->second.rows.size() * sizeof(symbols::RuleRow) + kRuleOverhead;
    functions.erase(old);
  }
  return &functions.emplace(end, std::move(rules)).first->second;
}

Learner::File& Learner::file_of(Pid tgid, const events::Vma& vma) {
  const MappingKey key{tgid, vma.range.start, vma.device, vma.inode, vma.offset};
  const auto known = files_.find(key);
  if (known != files_.end()) return known->second;
  if (files_.size() >= limits_.mappings) files_.clear();
  return files_.emplace(key, open(tgid, vma)).first->second;
}

Learner::File Learner::open(Pid tgid, const events::Vma& vma) {
  const Result<symbols::OpenedBinary> opened =
      vma.name == "[vdso]" ? binaries_.vdso() : binaries_.open_mapping(tgid, vma);
  File file;
  if (!opened) return file;
  file.key = opened->key;
  file.handle = opened->handle;
  file.is_go = opened->facts.go.has_value();
  file.go_code = opened->facts.go_code;
  file.kind = opened->handle != symbols::BinaryHandle::kNone ? File::Kind::kProgram
              : opened->machine.empty()                      ? File::Kind::kNotElf
                                                             : File::Kind::kUnreadable;
  return file;
}

}  // namespace memwhy::unwind
