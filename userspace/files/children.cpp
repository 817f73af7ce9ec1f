// SPDX-License-Identifier: Apache-2.0
// Requests to the children, and their answers. How the pair is started and ended is in children_pair.cpp.
#include "files/children.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace memwhy::files {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kMoment{250};  // that a question may take for nothing
constexpr std::chrono::seconds kSilence{60};       // for which a device that did not answer is left alone
constexpr int kMostStrikes = 2;                    // deaths over one file
constexpr size_t kMostRemembered = 64 << 10;
constexpr size_t kMostNotices = 16;
constexpr uint64_t kHandleBits = 32;

// A handle as the parser gave it.
symbols::BinaryHandle parsers(symbols::BinaryHandle binary) {
  return symbols::BinaryHandle{static_cast<uint64_t>(binary) & ((uint64_t{1} << kHandleBits) - 1)};
}

}  // namespace

Children::Children(ChildrenOptions options)
    : options_(std::move(options)),
      memory_(
          std::make_shared<MemoryReader>(MemoryReaderOptions{options_.program, options_.to_read_memory})) {}

// A child that sends such things is no longer under our control.
Error Children::strange(const Subject& about) {
  end_pair();
  strike(about, kMostStrikes);
  notice("A process that reads files of targets gave a strange answer; it was replaced.");
  return {ErrorCode::kBadInput, "its reader gave a strange answer"};
}

template <typename T>
Result<T> Children::value(const Result<Message>& message, const Subject& about) {
  if (!message) return message.error();
  std::optional<T> value = decode<T>(message->body);
  if (!value) return strange(about);
  return *std::move(value);
}

Children::Subject Children::subject(symbols::BinaryHandle binary) const {
  const auto known = opened_.find(binary);
  if (known == opened_.end()) return {};
  return {known->second.tgid, 0, known->second.file};
}

void Children::notice(std::string sentence) {
  if (std::find(notices_.begin(), notices_.end(), sentence) != notices_.end()) return;
  if (notices_.size() < kMostNotices)
    notices_.push_back(std::move(sentence));
  else
    ++more_notices_;
}

std::vector<std::string> Children::take_notices() {
  std::vector<std::string> taken = std::exchange(notices_, {});
  for (std::string& sentence : memory_->take_notices()) taken.push_back(std::move(sentence));
  if (more_notices_ > 0)
    taken.push_back(fmt::format("{} more sentences about files of targets are left out.", more_notices_));
  more_notices_ = 0;
  return taken;
}

Status Children::may_open(const Subject& about) const {
  const auto silent = silent_.find(about.device);
  if (about.device != 0 && silent != silent_.end() && steady_clock::now() < silent->second)
    return Error(ErrorCode::kBadInput, "its file system does not answer");
  const auto lost = lost_.find(about.tgid);
  if (lost != lost_.end() && lost->second > options_.lost_per_process)
    return Error(ErrorCode::kBadInput, "reading the files of its process takes too long");
  return {};
}

// What one process has us wait for is its share of our time.
void Children::account(const Subject& about, Duration took) {
  if (took <= kMoment) return;
  if (lost_.size() >= kMostRemembered) lost_.clear();
  const Duration before = lost_[about.tgid];
  if ((lost_[about.tgid] += took - kMoment) <= options_.lost_per_process ||
      before > options_.lost_per_process)
    return;
  notice(fmt::format(
      "No more files of pid {} are read: reading them took more than {} s of waiting. Their functions have "
      "no names.",
      about.tgid, std::chrono::duration_cast<std::chrono::seconds>(options_.lost_per_process).count()));
}

void Children::strike(const Subject& about, int strikes) {
  if (!about.file) return;
  if (strikes_.size() >= kMostRemembered) strikes_.clear();
  strikes_[*about.file] += strikes;
}

Result<Message> Children::ask(const Child& child, const Request& request, Duration limit,
                              const Subject& about, Along along) {
  if (child.pid < 0) {
    if (Status started = start_pair(); !started) return std::move(started).error();
  }
  const auto begun = steady_clock::now();
  const Deadline deadline = begun + limit;
  Status sent = send_message(child.socket.get(), encode(request), nullptr, deadline);
  Result<Message> message = sent ? receive_message(child.socket.get(), kMostMessageBytes, deadline, along)
                                 : Result<Message>(std::move(sent).error());
  account(about, std::chrono::duration_cast<Duration>(steady_clock::now() - begun));
  if (message) {
    const Result<std::span<const std::byte>> value = decode_answer(message->body);
    if (!value && value.error().code() == ErrorCode::kInternal) return strange(about);
    if (!value) return value.error();
    message->body.erase(message->body.begin(), message->body.end() - static_cast<ptrdiff_t>(value->size()));
    return message;
  }
  const bool opener = &child == &opener_;
  const char* const who = opener ? "opens" : "reads";
  const ErrorCode why = message.error().code();
  end_pair();
  if (why == ErrorCode::kTooLate) {  // too late
    if (opener && about.device != 0) silent_[about.device] = steady_clock::now() + kSilence;
    strike(about, kMostStrikes);
    notice(fmt::format(
        "The process that {} files of targets did not answer within {} ms for pid {}; it was replaced.", who,
        limit.count(), about.tgid));
    return Error(ErrorCode::kBadInput,
                 fmt::format("it was not {} within {} ms", opener ? "opened" : "read", limit.count()));
  }
  if (why == ErrorCode::kTargetGone) {
    strike(about, 1);
    notice(fmt::format("The process that {} files of targets died; it was replaced.", who));
    return Error(ErrorCode::kAbsent, fmt::format("the process that {} it died", who));
  }
  return strange(about);
}

Result<symbols::OpenedBinary> Children::open_once(const Request& request) {
  Subject about{request.tgid, request.vma.device, {}};
  const Result<symbols::FileKey> key =
      value<symbols::FileKey>(ask(opener_, request, options_.to_open, about), about);
  if (!key) return key.error();
  about.file = *key;
  const auto known = strikes_.find(*key);
  const bool refused = known != strikes_.end() && known->second >= kMostStrikes;
  Request take;
  take.ask = refused ? Ask::kDiscard : Ask::kTake;
  take.tgid = request.tgid;
  const Result<Message> taken = ask(parser_, take, options_.to_parse, about);
  if (refused) {
    symbols::OpenedBinary nothing;
    nothing.key = *key;
    nothing.path = request.vma.name;
    nothing.problem = "its reader died of it, or took too long";
    return nothing;
  }
  Result<symbols::OpenedBinary> opened = value<symbols::OpenedBinary>(taken, about);
  if (!opened) return opened;
  if (opened->key != *key) return strange(about);
  const size_t known_before = opened_.size();
  opened = numbered(*std::move(opened), about);
  if (opened && opened_.size() != known_before) add_symbols(*opened, about);
  return opened;
}

// Most have none; whatever goes wrong costs names.
void Children::add_symbols(const symbols::OpenedBinary& opened, const Subject& about) {
  const Subject process{about.tgid, 0, {}};
  const uint64_t pair = pair_;
  for (const symbols::DebugFilePlace& place :
       symbols::debug_file_places(opened, options_.debug_directories)) {
    if (parser_.pid < 0 || pair_ != pair) return;  // it died of the one before
    Request request;
    request.ask = Ask::kOpenSymbols;
    request.tgid = about.tgid;
    request.place = place;
    if (!value<symbols::FileKey>(ask(opener_, request, options_.to_open, process), process)) continue;
    request.ask = Ask::kTakeSymbols;
    request.binary = parsers(opened.handle);
    if (ask(parser_, request, options_.to_parse, {about.tgid, 0, opened.key})) return;
  }
}

// The parser's handle becomes one of this object.
Result<symbols::OpenedBinary> Children::numbered(symbols::OpenedBinary opened, const Subject& about) {
  const auto handle = static_cast<uint64_t>(opened.handle);
  if (handle >> kHandleBits != 0) return strange(about);
  if (handle == 0) return opened;
  opened.handle = symbols::BinaryHandle{pair_ << kHandleBits | handle};
  if (opened_.size() >= kMostRemembered) opened_.clear();
  opened_[opened.handle] = {about.tgid, opened.key};
  return opened;
}

Result<symbols::OpenedBinary> Children::vdso() {
  Request request;
  request.ask = Ask::kVdso;
  Result<symbols::OpenedBinary> opened =
      value<symbols::OpenedBinary>(ask(parser_, request, options_.to_parse, {}), {});
  return opened ? numbered(*std::move(opened), {}) : opened;
}

Result<symbols::OpenedBinary> Children::open(const Request& request) {
  if (Status may = may_open({request.tgid, request.vma.device, {}}); !may) return std::move(may).error();
  Result<symbols::OpenedBinary> opened = open_once(request);
  // The child may have been killed for another reason than this file.
  for (int again = 1; !opened && opened.error().code() == ErrorCode::kAbsent && again <= kMostStrikes;
       ++again)
    opened = open_once(request);
  if (!opened && opened.error().code() == ErrorCode::kAbsent)
    return Error(ErrorCode::kBadInput, opened.error().message());
  return opened;
}

Result<symbols::OpenedBinary> Children::open_mapping(Pid tgid, const events::Vma& vma) {
  Request request;
  request.ask = Ask::kOpenMapping;
  request.tgid = tgid;
  request.vma = vma;
  return open(request);
}

Result<symbols::OpenedBinary> Children::open_executable(Pid tgid) {
  Request request;
  request.ask = Ask::kOpenExecutable;
  request.tgid = tgid;
  return open(request);
}

Result<Message> Children::ask_opener(const Request& request, Along along) {
  const Subject about{request.tgid, request.vma.device, {}};
  if (Status may = may_open(about); !may) return std::move(may).error();
  Result<Message> message = ask(opener_, request, options_.to_open, about, along);
  if (!message && message.error().code() == ErrorCode::kAbsent)
    message = ask(opener_, request, options_.to_open, about, along);
  return message;
}

Result<symbols::ProbedFile> Children::file_to_probe(const symbols::ProcessFile& file) {
  Request request;
  request.ask = Ask::kFileToProbe;
  request.tgid = file.tgid;
  if (file.mapping) request.vma = *file.mapping;
  Result<Message> message = ask_opener(request, Along::kDescriptor);
  const Subject about{file.tgid, request.vma.device, {}};
  Result<symbols::ProbedFile> probed = value<symbols::ProbedFile>(message, about);
  if (probed && !message->fd) return strange(about);
  if (probed) probed->fd = std::move(message->fd);
  return probed;
}

Result<uint64_t> Children::file_system(Pid tgid, const events::Vma& mapping) {
  Request request;
  request.ask = Ask::kFileSystem;
  request.tgid = tgid;
  request.vma = mapping;
  return value<uint64_t>(ask_opener(request, Along::kNothing), {tgid, mapping.device, {}});
}

Result<Message> Children::ask_parser(symbols::BinaryHandle binary, Request request, Duration limit) {
  const auto known = opened_.find(binary);
  if (known == opened_.end() || parser_.pid < 0)
    return Error(ErrorCode::kAbsent, "the file is not open any more");
  const Subject about = subject(binary);
  request.tgid = about.tgid;
  request.binary = parsers(binary);
  return ask(parser_, request, limit, about);
}

Result<std::vector<symbols::SourceFrames>> Children::look_up(symbols::BinaryHandle binary,
                                                             std::span<const symbols::CodeOffset> at) {
  std::vector<symbols::SourceFrames> all;
  for (size_t first = 0; first < at.size(); first += kMostAddresses) {
    Request request;
    request.ask = Ask::kLookUp;
    const std::span<const symbols::CodeOffset> some =
        at.subspan(first, std::min(kMostAddresses, at.size() - first));
    request.offsets.assign(some.begin(), some.end());
    auto found = parsed<std::vector<symbols::SourceFrames>>(binary, request, options_.to_look_up);
    if (!found) return found;
    if (found->size() != some.size()) return strange(subject(binary));
    std::move(found->begin(), found->end(), std::back_inserter(all));
  }
  return all;
}

Result<symbols::OpenedBinary> Children::open_debug_file(const std::string& path) {
  Request request;
  request.ask = Ask::kOpenSymbols;
  request.place = {false, path};
  return open(request);
}

Result<std::vector<symbols::SourceFrames>> Children::look_up_addresses(symbols::BinaryHandle binary,
                                                                       std::span<const uint64_t> vaddrs) {
  Request request;
  request.ask = Ask::kLookUpAddresses;
  vaddrs = vaddrs.first(std::min(vaddrs.size(), kMostAddresses));
  request.addresses.assign(vaddrs.begin(), vaddrs.end());
  auto found = parsed<std::vector<symbols::SourceFrames>>(binary, request, options_.to_look_up);
  if (found && found->size() != vaddrs.size()) return strange(subject(binary));
  return found;
}

Result<std::vector<symbols::SourceFrames>> Children::code_names(Pid tgid,
                                                                std::span<const symbols::CodeOffset> at) {
  const Subject about{tgid, 0, {}};
  if (Status may = may_open(about); !may) return std::move(may).error();
  Request request;
  request.ask = Ask::kOpenCodeMap;
  request.tgid = tgid;
  at = at.first(std::min(at.size(), kMostAddresses));
  request.offsets.assign(at.begin(), at.end());
  const Result<symbols::FileKey> map =
      value<symbols::FileKey>(ask(opener_, request, options_.to_open, about), about);
  if (!map) return map.error();
  request.ask = Ask::kCodeNames;
  const Subject of_map{tgid, 0, *map};
  auto found =
      value<std::vector<symbols::SourceFrames>>(ask(parser_, request, options_.to_look_up, of_map), of_map);
  if (found && found->size() != at.size()) return strange(of_map);
  return found;
}

Result<std::vector<symbols::FunctionRules>> Children::frame_rules(symbols::BinaryHandle binary,
                                                                  std::span<const symbols::CodeOffset> at) {
  std::vector<symbols::FunctionRules> all;
  for (size_t first = 0; first < at.size(); first += kMostFunctions) {
    Request request;
    request.ask = Ask::kFrameRules;
    const std::span<const symbols::CodeOffset> some =
        at.subspan(first, std::min(kMostFunctions, at.size() - first));
    request.offsets.assign(some.begin(), some.end());
    auto found = parsed<std::vector<symbols::FunctionRules>>(binary, request, options_.to_parse);
    if (!found) return found;
    bool sensible = found->size() == some.size();
    for (size_t i = 0; sensible && i < some.size(); ++i) {
      const uint64_t offset = some[i].file_offset;
      const uint64_t looked_at = some[i].is_return && offset != 0 ? offset - 1 : offset;
      sensible = (*found)[i].well_formed() && (*found)[i].contains(looked_at);
    }
    if (!sensible) return strange(subject(binary));
    std::move(found->begin(), found->end(), std::back_inserter(all));
  }
  return all;
}

Result<symbols::ProgramFacts> Children::program(symbols::BinaryHandle binary,
                                                const symbols::ProgramQuestion& question) {
  Request request;
  request.ask = Ask::kProgram;
  request.question = question;
  Result<symbols::ProgramFacts> facts = parsed<symbols::ProgramFacts>(binary, request, options_.to_parse);
  const bool whole = facts && facts->functions.size() == question.functions.size() &&
                     facts->linked.size() == question.prefixes.size() &&
                     facts->named.size() == question.to_name.size() &&
                     facts->users.size() == question.to_name.size();
  if (facts && !whole) return strange(subject(binary));
  return facts;
}

Result<std::vector<std::byte>> Children::read(symbols::BinaryHandle binary, uint64_t offset, size_t bytes) {
  std::vector<std::byte> all;
  while (all.size() < bytes) {
    Request request;
    request.ask = Ask::kRead;
    request.offset = offset + all.size();
    request.bytes = std::min(bytes - all.size(), kMostReadBytes);
    const Result<Bytes> some = parsed<Bytes>(binary, request, options_.to_look_up);
    if (!some) return some.error();
    if (some->size() != request.bytes) return strange(subject(binary));
    all.insert(all.end(), some->begin(), some->end());
  }
  return all;
}

Result<GoLayout> Children::go_layout(symbols::BinaryHandle binary, int minor) {
  Request request;
  request.ask = Ask::kGoLayout;
  request.minor = minor;
  const Result<Message> message = ask_parser(binary, request, options_.to_parse);
  if (!message) return message.error();
  GoLayout layout = decode_layout(message->body, minor);
  if (!layout) return strange(subject(binary));
  return layout;
}

}  // namespace memwhy::files
