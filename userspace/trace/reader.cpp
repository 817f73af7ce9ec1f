// SPDX-License-Identifier: Apache-2.0
#include "trace/reader.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/time.h"
#include "trace/batch.h"
#include "trace/chunk.h"
#include "trace/source.h"

namespace memwhy::trace {
namespace {

constexpr size_t kMostSentences = 100;
constexpr uint8_t kKnownFlags = kZstd | kOptional | kRestated;

// Stack ids that were defined, and those that were named without. Ids count from 1; greater ones than 16 Mi
// are not checked, so that a file can't make this large.
class StackIds {
 public:
  // Also after it was named: a stack that was lost on its way is sent again.
  void define(StackId id) {
    if (has(undefined_, id) && !has(defined_, id)) --undefined_count_;
    mark(defined_, id);
  }
  void use(StackId id) {
    if (id == StackId::kNone || id == StackId::kLost || has(defined_, id) || has(undefined_, id)) return;
    mark(undefined_, id);
    if (has(undefined_, id)) ++undefined_count_;
  }
  uint64_t undefined_count() const { return undefined_count_; }

 private:
  static constexpr uint32_t kMostIds = 16u << 20;
  static bool has(const std::vector<bool>& ids, StackId id) {
    return static_cast<uint32_t>(id) < ids.size() && ids[static_cast<uint32_t>(id)];
  }
  static void mark(std::vector<bool>& ids, StackId id) {
    const auto number = static_cast<uint32_t>(id);
    if (number >= kMostIds) return;
    if (number >= ids.size()) ids.resize(std::min<size_t>(kMostIds, number + number / 2 + 1));
    ids[number] = true;
  }
  std::vector<bool> defined_, undefined_;
  uint64_t undefined_count_ = 0;
};

bool known(const ChunkHeader& header) {
  if ((header.flags & ~kKnownFlags) != 0) return false;
  if (header.kind == static_cast<uint16_t>(ChunkKind::kEvents)) return header.version == kEventsVersion;
  if (header.kind == static_cast<uint16_t>(ChunkKind::kEnd)) return header.version == kEndVersion;
  return false;
}

// One pass over a file.
class Pass {
 public:
  Pass(const std::string& name, ReadSummary& summary, events::EventSink& sink, ReadOptions options)
      : name_(name), summary_(summary), sink_(sink), options_(options) {}

  Status run(const ByteSource& source, uint64_t first_offset) {
    ChunkWalk walk(source, first_offset);
    for (ChunkStep step = walk.next(); step.what != ChunkStep::What::kEnd; step = walk.next()) {
      if (step.what == ChunkStep::What::kDamage) {
        damage(step);
      } else if (Status status = chunk(step, walk); !status) {
        return status;
      }
    }
    finish();
    return {};
  }

 private:
  void tell(std::string sentence) {
    if (++sentences_ <= kMostSentences) summary_.damage.push_back(std::move(sentence));
  }
  double seconds(TimeNs time) const { return static_cast<double>(time - summary_.first_time) / kNsPerSecond; }

  void damage(const ChunkStep& step) {
    summary_.bytes_lost += step.bytes;
    summary_.chunks_damaged += std::max<uint64_t>(1, step.starts);
    damaged_bytes_ += step.bytes;
    if (!step.at_tail) return;  // the next chunk's sequence and time say how much it was
    if (end_) {
      tell(fmt::format("{} bytes follow the end of the recording", step.bytes));
    } else if (step.cut) {
      tell(fmt::format("the last chunk is cut off: {} bytes of it are lost", step.bytes));
    } else {
      tell(fmt::format("the last {} bytes, from byte {} on, are damaged", step.bytes, step.offset));
    }
  }

  Status chunk(const ChunkStep& step, ChunkWalk& walk) {
    const ChunkHeader& header = step.header;
    if (header.sequence < expected_) {
      lose(step, fmt::format("chunk {} at byte {} comes again or too late", header.sequence, step.offset));
      return {};
    }
    if (end_) {
      lose(step,
           fmt::format("chunk {} at byte {} follows the end of the recording", header.sequence, step.offset));
      return {};
    }
    gap(step);
    expected_ = uint64_t{header.sequence} + 1;
    damaged_bytes_ = 0;
    if (!known(header)) {
      if ((header.flags & kOptional) == 0) {
        return Error(ErrorCode::kBadInput,
                     fmt::format("{}: needs a newer memwhy: chunk {} is of kind {}, version {}", name_,
                                 header.sequence, header.kind, header.version));
      }
      ++summary_.chunks_unknown;
      return {};
    }
    const Result<std::string_view> raw = walk.payload();
    if (!raw) {
      lose(step, fmt::format("chunk {} at byte {} is not readable: {}", header.sequence, step.offset,
                             raw.error().message()));
      return {};
    }
    if (header.kind == static_cast<uint16_t>(ChunkKind::kEnd)) {
      End end;
      if (decode_end(*raw, end)) {
        end_ = std::move(end);
        ++summary_.chunks;
      } else {
        lose(step, fmt::format("the end of the recording, at byte {}, is not readable", step.offset));
      }
      return {};
    }
    span(header);
    if (options_.skip_restated && (header.flags & kRestated) != 0) {
      skipped_events_ += header.count;
      ++summary_.chunks;
      return {};
    }
    const Status status = read_batch(*raw, header.time_min, header.count, totals_,
                                     [this](const events::Event& event) { give(event); });
    if (status) {
      ++summary_.chunks;
    } else {
      lose(step, fmt::format("chunk {} at byte {} is not readable to its end: {}", header.sequence,
                             step.offset, status.error().message()));
    }
    return {};
  }

  void lose(const ChunkStep& step, std::string sentence) {
    ++summary_.chunks_damaged;
    summary_.bytes_lost += step.bytes;
    tell(std::move(sentence));
  }

  // What is missing between the last chunk that was readable and this one.
  void gap(const ChunkStep& step) {
    const uint64_t missing = step.header.sequence - expected_;
    if (missing == 0 && damaged_bytes_ == 0) return;
    summary_.chunks_missing += missing;
    std::string where = fmt::format("before byte {}", step.offset);
    if (any_time_ && step.header.time_min > summary_.last_time) {
      summary_.time_lost += step.header.time_min - summary_.last_time;
      where += fmt::format(", between {:.3f} s and {:.3f} s", seconds(summary_.last_time),
                           seconds(step.header.time_min));
    }
    tell(fmt::format("{} chunk{} missing {} ({} damaged bytes)", missing, missing == 1 ? " is" : "s are",
                     where, damaged_bytes_));
  }

  void span(const ChunkHeader& header) {
    if (!any_time_) {
      summary_.first_time = header.time_min;
      summary_.last_time = header.time_max;
      any_time_ = true;
    }
    summary_.first_time = std::min<TimeNs>(summary_.first_time, header.time_min);
    summary_.last_time = std::max<TimeNs>(summary_.last_time, header.time_max);
  }

  void give(const events::Event& event) {
    std::visit(
        [this](const auto& payload) {
          if constexpr (requires { payload.stack; }) stacks_.use(payload.stack);
        },
        event.payload);
    if (const auto* stack = std::get_if<events::Stack>(&event.payload)) stacks_.define(stack->id);
    if (const auto* table = std::get_if<events::PageTableRuns>(&event.payload)) {
      for (const events::TableRun& run : table->runs) stacks_.use(run.stack);
    }
    if (const auto* info = std::get_if<events::RecordingInfo>(&event.payload)) summary_.part = info->part;
    sink_.on_event(event);
  }

  void finish() {
    summary_.events = totals_.events;
    summary_.events_unknown = totals_.unknown;
    for (size_t kind = 1; kind <= kLastEventKind; ++kind) {
      if (totals_.events_of[kind] == 0) continue;
      summary_.kinds.push_back({std::string(kind_name(static_cast<EventKind>(kind))), totals_.events_of[kind],
                                totals_.bytes_of[kind]});
    }
    if (totals_.call_bytes != 0) summary_.kinds.push_back({"calls", 0, totals_.call_bytes});
    summary_.stacks_undefined = stacks_.undefined_count();
    if (summary_.stacks_undefined != 0) {
      tell(fmt::format("{} stacks are named but not in the file", summary_.stacks_undefined));
    }
    if (!end_) {
      summary_.ended = "killed";
      tell(any_time_
               ? fmt::format("the recording was not closed: it ends at {:.3f} s", seconds(summary_.last_time))
               : "the recording was not closed, and holds no events");
    } else {
      close(*end_);
    }
    if (sentences_ > kMostSentences) {
      summary_.damage.push_back(fmt::format("and {} more", sentences_ - kMostSentences));
    }
    summary_.complete = end_ && summary_.damage.empty();
  }

  void close(const End& end) {
    summary_.ended = end.why;
    summary_.rotated = end.how == EndHow::kRotated;
    summary_.events_not_written = end.events_not_written;
    const uint64_t readable = totals_.events + totals_.unknown + skipped_events_;
    summary_.events_lost = end.events > readable ? end.events - readable : 0;
    if (*summary_.events_lost != 0) tell(fmt::format("{} events are lost in all", *summary_.events_lost));
    if (end.how == EndHow::kOutputFull) {
      tell(fmt::format("the output took no more: {} events were not written", end.events_not_written));
    } else if (end.events_not_written != 0) {
      tell(fmt::format("{} events were too large to be written", end.events_not_written));
    }
  }

  const std::string& name_;
  ReadSummary& summary_;
  events::EventSink& sink_;
  ReadOptions options_;
  BatchTotals totals_;
  StackIds stacks_;
  std::optional<End> end_;
  uint64_t expected_ = 0;       // sequence of the next chunk
  uint64_t damaged_bytes_ = 0;  // since the last chunk
  uint64_t skipped_events_ = 0;
  uint64_t sentences_ = 0;
  bool any_time_ = false;
};

// Bytes that are not ours get a sentence that helps.
Error not_ours(const std::string& name, const std::array<uint8_t, 8>& magic, size_t size) {
  const auto say = [&](const char* why) {
    return Error(ErrorCode::kBadInput, fmt::format("{}: {}", name, why));
  };
  if (size == 0) return say("is empty");
  const std::string_view text(reinterpret_cast<const char*>(magic.data()), std::min(size, magic.size()));
  if (text.starts_with("\tMWHY")) return say("was damaged by a transfer that strips the eighth bit");
  if (text.starts_with("\x89MWHY\n") || text.starts_with("\x89MWHY\r\r")) {
    return say("was damaged by a transfer that rewrites line ends");
  }
  if (size < sizeof(FileHeader) && std::memcmp(magic.data(), kFileMagic.data(), text.size()) == 0) {
    return say("is cut off within its file header");
  }
  return say("is not a memwhy recording");
}

}  // namespace

Reader::Reader(std::unique_ptr<ByteSource> source, std::string name, FileHeader header, bool header_damaged)
    : source_(std::move(source)), name_(std::move(name)), header_(header), header_damaged_(header_damaged) {}
Reader::Reader(Reader&&) noexcept = default;
Reader& Reader::operator=(Reader&&) noexcept = default;
Reader::~Reader() = default;

std::string ReadSummary::of_newer_kinds() const {
  const auto counted = [](uint64_t n, const char* what) {
    return n == 0 ? "" : fmt::format("{} {}{}", n, what, n == 1 ? "" : "s");
  };
  const std::string all = counted(events_unknown, "event"), whole = counted(chunks_unknown, "chunk");
  if (all.empty() && whole.empty()) return "";
  return fmt::format("{}{}{} not read: only a newer memwhy knows their kind", all,
                     all.empty() || whole.empty() ? "" : " and ", whole);
}
const ByteSource& Reader::source() const { return *source_; }
const FileHeader& Reader::header() const { return header_; }

Result<Reader> Reader::open(const std::string& path) {
  // O_NONBLOCK: a FIFO without a writer must not hang us before fstat can say what it is.
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file) return errno_error(ErrorCode::kBadInput, path, errno);
  return open(std::move(file), path);
}

Result<Reader> Reader::open(Fd file, std::string name) {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return errno_error(ErrorCode::kBadInput, name, errno);
  if (S_ISDIR(status.st_mode)) return Error(ErrorCode::kBadInput, name + ": is a directory");
  if (!S_ISREG(status.st_mode)) return Error(ErrorCode::kBadInput, name + ": is not a regular file");
  return from_source(std::make_unique<ByteSource>(std::move(file), static_cast<uint64_t>(status.st_size)),
                     std::move(name));
}

Result<Reader> Reader::from_bytes(std::string bytes, std::string name) {
  return from_source(std::make_unique<ByteSource>(std::move(bytes)), std::move(name));
}

Result<Reader> Reader::from_source(std::unique_ptr<ByteSource> source, std::string name) {
  FileHeader header;
  header.magic = {};
  const size_t got = source->read(0, reinterpret_cast<char*>(&header), sizeof header);
  if (got < sizeof header || header.magic != kFileMagic) return not_ours(name, header.magic, got);
  const bool damaged = hash_of(header) != header.hash;
  if (!damaged && header.major > kMajor) {
    return Error(
        ErrorCode::kBadInput,
        fmt::format(
            "{}: made by a newer memwhy (format {}.{}; this one reads up to {}.x): read it with that one",
            name, header.major, header.minor, kMajor));
  }
  return Reader(std::move(source), std::move(name), header, damaged);
}

Result<ReadSummary> Reader::read_all(events::EventSink& sink, ReadOptions options) const {
  ReadSummary summary;
  summary.major = header_.major;
  summary.minor = header_.minor;
  summary.uuid = header_.uuid;
  summary.file_bytes = source_->size();
  if (header_damaged_) {
    summary.damage.emplace_back("the file header is damaged");
    summary.bytes_lost += sizeof header_;
  }
  Pass pass(name_, summary, sink, options);
  // A damaged header's own length can't be believed; the chunks announce themselves.
  const uint64_t first_chunk =
      header_damaged_ ? sizeof header_ : std::max<uint64_t>(header_.header_bytes, sizeof header_);
  if (Status status = pass.run(*source_, first_chunk); !status) return status.error();
  return summary;
}

}  // namespace memwhy::trace
