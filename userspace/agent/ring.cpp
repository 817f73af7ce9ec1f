// SPDX-License-Identifier: Apache-2.0
#include "agent/ring.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "trace/output.h"

namespace memwhy::agent {
namespace {

constexpr uint64_t kSmallestPart = 256u << 10;
constexpr TimeNs kShortestPart = 2'000'000'000;
constexpr uint64_t kMostDefinitions = 8u << 20;
constexpr mode_t kOwnerOnly = 0700;

}  // namespace

Result<std::unique_ptr<Ring>> Ring::open(const std::string& folder, RingLimits limits) {
  if (::mkdir(folder.c_str(), kOwnerOnly) != 0)
    return errno_error(ErrorCode::kOutput, "can't make " + folder, errno);
  const std::string first = folder + "/ring.memwhy";
  Result<Fd> file = trace::create_output(first);
  if (!file) {
    ::rmdir(folder.c_str());
    return std::move(file).error();
  }
  trace::WriterOptions options;
  options.path = first;
  options.max_part_bytes = std::max(limits.bytes / kPartsOfRing, kSmallestPart);
  options.max_part_ns = std::max(limits.keep / kPartsOfRing, kShortestPart);
  options.max_definition_bytes = kMostDefinitions;
  Result<std::unique_ptr<trace::Writer>> writer = trace::Writer::create(std::move(*file), std::move(options));
  if (!writer) {
    ::unlink(first.c_str());
    ::rmdir(folder.c_str());
    return std::move(writer).error();
  }
  return std::unique_ptr<Ring>(new Ring(folder, limits, std::move(*writer)));
}

Ring::Ring(std::string folder, RingLimits limits, std::unique_ptr<trace::Writer> writer)
    : folder_(std::move(folder)), limits_(limits), writer_(std::move(writer)) {
  note_parts(0);
}

Ring::~Ring() {
  writer_.reset();
  if (!deletes_) return;
  for (const Part& part : parts_) ::unlink(part.path.c_str());
  ::rmdir(folder_.c_str());
}

void Ring::note_parts(TimeNs now) {
  const trace::WriterTotals totals = writer_->totals();
  if (std::exchange(made_room_, totals.made_room) != totals.made_room) given = {{}, {}, {}, given.epoch};
  for (; noted_ < totals.parts; ++noted_)
    parts_.push_back(
        {trace::part_path(folder_ + "/ring.memwhy", noted_), totals.bytes - totals.part_bytes, now});
}

void Ring::on_event(const events::Event& event) {
  if (parts_.front().from == 0) parts_.front().from = event.time;
  writer_->on_event(event);
  note_parts(event.time);
}

void Ring::tick(TimeNs now) {
  writer_->tick(now);
  if (pins_ != 0) return;
  const uint64_t all = writer_->totals().bytes;
  while (parts_.size() > 1) {
    const bool old = parts_[1].from + limits_.keep <= now;
    if (!old && all - parts_.front().bytes_before <= limits_.bytes) break;
    ::unlink(parts_.front().path.c_str());
    parts_.pop_front();
  }
}

std::vector<std::string> Ring::snapshot() {
  writer_->flush();
  std::vector<std::string> paths;
  for (const Part& part : parts_) paths.push_back(part.path);
  return paths;
}

uint64_t Ring::bytes() const { return writer_->totals().bytes - parts_.front().bytes_before; }

}  // namespace memwhy::agent
