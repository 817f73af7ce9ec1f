// SPDX-License-Identifier: Apache-2.0
#include "files/child.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <functional>
#include <new>
#include <optional>
#include <utility>

#include "files/channel.h"
#include "files/memory_child.h"
#include "files/messages.h"
#include "files/sandbox.h"
#include "goruntime/dwarf_layout.h"
#include "symbols/binary_table.h"
#include "symbols/code_map.h"
#include "symbols/target_files.h"

namespace memwhy::files {
namespace {

constexpr size_t kMostRequestBytes = 1 << 20;
constexpr long kMostSeconds = 30;  // for one request; memwhy itself gives up sooner, but it may have died
constexpr uint64_t kOpenBinaries = 64;
constexpr uint64_t kOpenerFiles = 32,
                   kParserFiles = 5 * kOpenBinaries + 32;  // libdw takes one more, and a debug file two

// The child ends when one request takes longer, whoever still waits for it.
void set_alarm(long seconds) {
  const itimerval timer{{}, {seconds, 0}};
  ::setitimer(ITIMER_REAL, &timer, nullptr);
}

struct Answer {
  Bytes body;
  Fd along;
};

template <typename T>
Answer answer(const Result<T>& value) {
  return {value ? encode_answer(encode(*value)) : encode_error(value.error()), {}};
}

Answer refuse(ErrorCode code, const char* sentence) { return {encode_error({code, sentence}), {}}; }

// Requests one after the other, until memwhy is gone.
int serve(const std::function<Answer(const Request&)>& work) {
  while (true) {
    Result<Message> message = receive_message(kRequests, kMostRequestBytes, kNoDeadline);
    if (!message) return message.error().code() == ErrorCode::kTargetGone ? 0 : 1;
    const std::optional<Request> request = decode<Request>(message->body);
    if (!request) return 1;
    set_alarm(kMostSeconds);
    Answer made;
    try {
      made = work(*request);
    } catch (const std::bad_alloc&) {
      made = refuse(ErrorCode::kBadInput, "its tables need more memory than one file may have");
    }
    set_alarm(0);
    const Fd* along = made.along ? &made.along : nullptr;
    if (!send_message(kRequests, made.body, along, kNoDeadline)) return 0;
  }
}

Answer hand_over(Result<symbols::TargetFile> file) {
  if (!file) return {encode_error(file.error()), {}};
  const Handover what{file->key, file->path};
  // Without its parser it is of no use: memwhy starts a new pair.
  if (!send_message(kHandover, encode(what), &file->fd, kNoDeadline)) ::_exit(1);
  return {encode_answer(encode(file->key)), {}};
}

int run_opener() {
  ::prctl(PR_SET_NAME, "memwhy:opener");
  const symbols::TargetFiles files(Fd(::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
  if (!enter_sandbox(Role::kOpener, kOpenerFiles)) return 5;
  return serve([&](const Request& request) -> Answer {
    switch (request.ask) {
      case Ask::kOpenMapping:
        return hand_over(files.open_mapping(request.tgid, request.vma));
      case Ask::kOpenExecutable:
        return hand_over(files.open_executable(request.tgid));
      case Ask::kOpenSymbols:
        return hand_over(files.open_debug_file(request.tgid, request.place));
      case Ask::kOpenCodeMap:
        return hand_over(files.open_code_map(request.tgid));
      case Ask::kFileSystem:
        return answer(files.file_system(request.tgid, request.vma));
      case Ask::kFileToProbe: {
        symbols::ProcessFile file{request.tgid};
        if (!request.vma.range.empty()) file.mapping = request.vma;
        Result<symbols::ProbedFile> probed = files.file_to_probe(file);
        Answer made = answer(probed);
        if (probed) made.along = std::move(probed->fd);
        return made;
      }
      default:
        return refuse(ErrorCode::kUsage, "not a question for the opener of files");
    }
  });
}

// What the opener has handed over.
Result<symbols::TargetFile> taken() {
  Result<Message> message = receive_message(kHandover, kMostRequestBytes, kNoDeadline, Along::kDescriptor);
  if (!message) return std::move(message).error();
  std::optional<Handover> what = decode<Handover>(message->body);
  if (!what || !message->fd) return Error(ErrorCode::kUsage, "nothing was handed over");
  return symbols::TargetFile{std::move(message->fd), std::move(what->path), what->key};
}

Answer take(symbols::BinaryTable& table, bool discard) {
  Result<symbols::TargetFile> file = taken();
  if (!file) return {encode_error(file.error()), {}};
  if (discard) return {encode_answer({}), {}};
  return {encode_answer(encode(table.take(*std::move(file)))), {}};
}

Answer take_symbols(symbols::BinaryTable& table, symbols::BinaryHandle binary) {
  Result<symbols::TargetFile> file = taken();
  if (!file) return {encode_error(file.error()), {}};
  const Status added = table.add_symbols(binary, *std::move(file));
  return {added ? encode_answer({}) : encode_error(added.error()), {}};
}

Answer code_names(const Request& request) {
  const Result<symbols::TargetFile> map = taken();
  if (!map) return {encode_error(map.error()), {}};
  return answer(symbols::code_map_names(map->fd, map->key.bytes, request.offsets));
}

Answer go_layout(symbols::BinaryTable& table, const Request& request) {
  const Result<const Fd*> file = table.file(request.binary);
  if (!file) return {encode_error(file.error()), {}};
  const Result<GoLayout> layout = goruntime::dwarf_layout(**file, request.minor);
  return {layout ? encode_answer(encode_layout(**layout)) : encode_error(layout.error()), {}};
}

int run_parser() {
  ::prctl(PR_SET_NAME, "memwhy:parser");
  symbols::BinaryLimits limits;
  limits.open_files = kOpenBinaries;
  limits.memory_bytes = kParserMemoryBytes / 2;  // debug information of one is up to half of that
  symbols::BinaryTable table(limits);
  if (!enter_sandbox(Role::kParser, kParserFiles)) return 5;
  return serve([&](const Request& request) -> Answer {
    switch (request.ask) {
      case Ask::kTake:
        return take(table, false);
      case Ask::kTakeSymbols:
        return take_symbols(table, request.binary);
      case Ask::kDiscard:
        return take(table, true);
      case Ask::kLookUp:
        return answer(table.look_up(request.binary, request.offsets));
      case Ask::kLookUpAddresses:
        return answer(table.look_up_addresses(request.binary, request.addresses));
      case Ask::kCodeNames:
        return code_names(request);
      case Ask::kFrameRules:
        if (request.offsets.size() > kMostFunctions) return refuse(ErrorCode::kUsage, "too much at a time");
        return answer(table.frame_rules(request.binary, request.offsets));
      case Ask::kVdso:
        return answer(table.vdso());
      case Ask::kProgram:
        return answer(table.program(request.binary, request.question));
      case Ask::kGoLayout:
        return go_layout(table, request);
      case Ask::kRead:
        if (request.bytes > kMostReadBytes) return refuse(ErrorCode::kUsage, "too much at a time");
        return answer(table.read(request.binary, request.offset, request.bytes));
      default:
        return refuse(ErrorCode::kUsage, "not a question for the parser of files");
    }
  });
}

bool is_socket(int fd) {
  struct stat st {};
  return ::fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

}  // namespace

bool is_child(const std::vector<std::string>& words) {
  return words.size() == 1 && (words[0] == kOpenerWord || words[0] == kParserWord || words[0] == kMemoryWord);
}

int run_child(const std::vector<std::string>& words) {
  const bool reads_memory = words[0] == kMemoryWord;
  if (!is_socket(kRequests) || is_socket(kHandover) == reads_memory) return 2;
  if (reads_memory) return run_memory_child();
  return words[0] == kOpenerWord ? run_opener() : run_parser();
}

}  // namespace memwhy::files
