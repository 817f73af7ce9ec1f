// SPDX-License-Identifier: Apache-2.0
#include "trace/writer.h"

#include <fmt/format.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/time.h"
#include "events/order.h"
#include "trace/batch.h"
#include "trace/chunk.h"
#include "trace/output.h"
#include "trace/restate.h"

namespace memwhy::trace {
namespace {

// A chunk is written when its first event is events::kFileWindow old, or when it has as many or as large ones as here.
constexpr uint32_t kFlushEvents = 16 * 1024;
constexpr size_t kFlushBytes = 1 << 20;
constexpr uint64_t kSmallestPart = 64 << 10;

constexpr double kBytesPerMb = 1e6;

std::array<uint8_t, 16> new_uuid() {
  std::array<uint8_t, 16> uuid{};
  if (::getrandom(uuid.data(), uuid.size(), 0) != static_cast<ssize_t>(uuid.size())) uuid = {};
  uuid[6] = static_cast<uint8_t>((uuid[6] & 0x0f) | 0x40);  // RFC 9562, version 4
  uuid[8] = static_cast<uint8_t>((uuid[8] & 0x3f) | 0x80);
  return uuid;
}

std::string what_failed(int err) {
  switch (err) {
    case ENOSPC:
    case EDQUOT:
      return "no space on";
    case EFBIG:
      return "the file size limit was reached on";
    default:
      return fmt::format("{} on", std::generic_category().message(err));
  }
}

bool is_restated_table(const events::Event& event) {
  const auto* table = std::get_if<events::PageTableRuns>(&event.payload);
  return table != nullptr && table->restated;
}

}  // namespace

class Writer::Impl {
 public:
  Impl(Fd output, WriterOptions options)
      : file_(std::move(output)),
        options_(std::move(options)),
        restatement_(options_.max_part_bytes != 0, options_.max_definition_bytes),
        uuid_(options_.uuid ? *options_.uuid : new_uuid()) {}

  bool write_file_header() {
    FileHeader header;
    header.uuid = uuid_;
    header.hash = hash_of(header);
    return append({reinterpret_cast<const char*>(&header), sizeof header});
  }

  void on_event(const events::Event& event) {
    ++totals_.events;
    if (failure_ || finished_) {
      ++totals_.events_not_written;
      return;
    }
    if (options_.max_part_bytes != 0) rotate_if_due(event);
    if (batch_.count() != 0 && event.time >= batch_.time_first() + events::kFileWindow) flush(0);
    if (failure_) {
      ++totals_.events_not_written;
      return;
    }
    ++batch_events_;
    add(event);
    if (batch_.count() >= kFlushEvents || batch_.bytes() >= kFlushBytes) flush(0);
  }

  void tick(TimeNs now) {
    if (batch_.count() == 0 || now < batch_.time_first() + events::kFileWindow) return;
    flush(0);
    check_still_there();
  }

  void flush(uint8_t flags) {
    if (batch_.count() == 0) return;
    ChunkHeader header;
    header.kind = static_cast<uint16_t>(ChunkKind::kEvents);
    header.version = kEventsVersion;
    header.flags = flags;
    header.count = batch_.count();
    header.time_min = batch_.time_min();
    header.time_max = batch_.time_max();
    batch_.finish(raw_);
    if (append_chunk(header, raw_)) {
      part_events_ += header.count;
      if (totals_.chunks == 1) first_time_ = header.time_min;
      last_time_ = std::max<TimeNs>(last_time_, header.time_max);
    } else {
      totals_.events_not_written += batch_events_;
    }
    batch_events_ = 0;
    if (options_.max_part_bytes != 0 && part_bytes_ >= part_limit() / 4 * 3) wants_restate_ = true;
  }

  Status finish(const std::string& why) {
    if (!finished_) {
      flush(0);
      finished_ = true;
      write_end(failure_ ? EndHow::kOutputFull : EndHow::kClosed, failure_ ? "output_full" : why);
      // Network file systems report a full disk only now. EINVAL, EROFS: a special file that has nothing to
      // sync.
      if (!failure_ && !options_.path.empty() && ::fdatasync(file_.get()) != 0 && errno != EINVAL &&
          errno != EROFS) {
        fail(errno);
      }
      check_still_there();
    }
    if (failure_) return *failure_;
    return {};
  }

  const std::optional<Error>& failure() const { return failure_; }
  WriterTotals totals() const {
    WriterTotals totals = totals_;
    totals.part_bytes = part_bytes_;
    totals.made_room = restatement_.made_room();
    return totals;
  }
  bool wants_restate() const { return wants_restate_; }
  Fd release() {
    finished_ = true;
    return std::move(file_);
  }

 private:
  void add(const events::Event& event) {
    const EventKind kind = kind_of(event.payload);
    const auto define = [&](EventKind defined, std::string_view message) {
      batch_.add_message(defined, event.time, message);
    };
    if (is_call(kind)) {
      restatement_.define_for(event, define);
      batch_.add_call(event);
      return;
    }
    const auto message = batch_.encode(event);
    if (!message) {  // above the limits of the format: told in its place
      ++totals_.events_not_written;
      --batch_events_;
      std::string loss;
      encode_message(events::Loss{SpaceId::kNone, fmt::format("{} too large", kind_name(kind)), 1}, loss);
      batch_.add_message(EventKind::kLoss, event.time, loss);
      return;
    }
    if (!restatement_.remember(event, kind, *message)) return;
    restatement_.define_for(event, define);
    batch_.add_message(kind, event.time, *message);
  }

  // A prologue that is larger than the limit must not make every event a part of its own.
  uint64_t part_limit() const { return std::max(options_.max_part_bytes, 2 * prologue_bytes_); }

  void rotate_if_due(const events::Event& event) {
    const bool restated = is_restated_table(event);
    if (part_began_ == 0) part_began_ = event.time;
    const TimeNs age = options_.max_part_ns == 0 ? 0 : event.time - part_began_;
    const bool due = part_bytes_ >= part_limit() / 4 * 3 || (age != 0 && age >= options_.max_part_ns);
    if (part_bytes_ >= part_limit() || (restated && due)) rotate(event.time);
    if (restated)
      wants_restate_ = false;
    else if (age != 0 && age >= 2 * options_.max_part_ns)
      wants_restate_ = true;
  }

  void rotate(TimeNs now) {
    flush(0);
    if (failure_) return;
    Result<Fd> next = create_output(part_path(options_.path, totals_.parts));
    if (!next) {
      failure_ = next.error();
      return;
    }
    if (!write_end(EndHow::kRotated, "rotated")) return;
    file_ = std::move(next).value();
    const uint32_t part = totals_.parts++;
    part_bytes_ = part_events_ = prologue_bytes_ = 0;
    part_began_ = now;
    sequence_ = 0;
    if (!write_file_header()) return;
    for (const Record& record : restatement_.begin_part(part, now)) {
      batch_.add_message(record.kind, record.time, record.message);
      if (batch_.bytes() >= kFlushBytes) flush(kRestated);
    }
    flush(kRestated);
    prologue_bytes_ = part_bytes_;
    wants_restate_ = true;
  }

  bool write_end(EndHow how, const std::string& why) {
    End end{how, why, part_events_, totals_.events_not_written};
    raw_.clear();
    encode_end(end, raw_);
    ChunkHeader header;
    header.kind = static_cast<uint16_t>(ChunkKind::kEnd);
    header.version = kEndVersion;
    header.time_min = header.time_max = last_time_;
    return append_chunk(header, raw_);
  }

  bool append_chunk(ChunkHeader header, std::string_view raw) {
    header.sequence = sequence_;
    if (!append(sealer_.seal(header, raw))) return false;
    ++sequence_;
    ++totals_.chunks;
    return true;
  }

  // All of it or nothing: a kill leaves whole chunks and at most one torn one, a full disk none.
  bool append(std::string_view bytes) {
    size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t put = ::pwrite(file_.get(), bytes.data() + done, bytes.size() - done,
                                   static_cast<off_t>(part_bytes_ + done));
      if (put < 0 && errno == EINTR) continue;
      if (put <= 0) {
        fail(put == 0 ? EIO : errno);
        return false;
      }
      done += static_cast<size_t>(put);
    }
    part_bytes_ += bytes.size();
    totals_.bytes += bytes.size();
    return true;
  }

  // Who deletes the file while it is written would otherwise find out at the end that it is not there.
  void check_still_there() {
    struct stat now {};
    if (failure_ || options_.path.empty() || ::fstat(file_.get(), &now) != 0 || now.st_nlink != 0) return;
    failure_ =
        Error(ErrorCode::kOutput, fmt::format("{} was deleted while it was written: the recording is lost",
                                              part_path(options_.path, totals_.parts - 1)));
  }

  void fail(int err) {
    // If it can't be cut back either, its tail is a torn chunk, which the reader knows how to tell.
    const bool cut_back = ::ftruncate(file_.get(), static_cast<off_t>(part_bytes_)) == 0;
    if (failure_) return;
    failure_ =
        Error(ErrorCode::kOutput,
              fmt::format(
                  "{} {} after {:.1f} MB; the recording is valid up to {:.1f} s{}", what_failed(err),
                  options_.path.empty() ? "the temporary file" : part_path(options_.path, totals_.parts - 1),
                  static_cast<double>(totals_.bytes) / kBytesPerMb,
                  static_cast<double>(last_time_ - first_time_) / kNsPerSecond,
                  cut_back ? "" : ", and its last chunk is torn"));
  }

  Fd file_;
  WriterOptions options_;
  Restatement restatement_;
  std::array<uint8_t, 16> uuid_;
  BatchWriter batch_;
  ChunkSealer sealer_;
  std::string raw_;
  WriterTotals totals_;
  uint64_t batch_events_ = 0;  // of the sink, in the batch; restated ones are not counted
  uint64_t part_bytes_ = 0, part_events_ = 0, prologue_bytes_ = 0;
  uint32_t sequence_ = 0;
  TimeNs first_time_ = 0, last_time_ = 0, part_began_ = 0;
  std::optional<Error> failure_;
  bool finished_ = false;
  std::atomic<bool> wants_restate_ = false;
};

Result<std::unique_ptr<Writer>> Writer::create(Fd output, WriterOptions options) {
  if (options.max_part_bytes != 0) {
    if (options.path.empty())
      return Error(ErrorCode::kUsage, "a file without a name can't be continued in parts");
    if (options.max_part_bytes < kSmallestPart) {
      return Error(ErrorCode::kUsage, fmt::format("a part is at least {} KiB", kSmallestPart >> 10));
    }
    const std::string second = part_path(options.path, 1);
    struct stat there {};
    if (::lstat(second.c_str(), &there) == 0) {
      return Error(ErrorCode::kOutput, fmt::format("{} exists, and would be the second part", second));
    }
  }
  auto impl = std::make_unique<Impl>(std::move(output), std::move(options));
  if (!impl->write_file_header()) return *impl->failure();
  return std::unique_ptr<Writer>(new Writer(std::move(impl)));
}

Writer::Writer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Writer::~Writer() { impl_->flush(0); }
void Writer::on_event(const events::Event& event) { impl_->on_event(event); }
void Writer::tick(TimeNs now) { impl_->tick(now); }
void Writer::flush() { impl_->flush(0); }
Status Writer::finish(const std::string& why) { return impl_->finish(why); }
const std::optional<Error>& Writer::failure() const { return impl_->failure(); }
WriterTotals Writer::totals() const { return impl_->totals(); }
bool Writer::wants_restate() const { return impl_->wants_restate(); }
Fd Writer::release() { return impl_->release(); }

}  // namespace memwhy::trace
