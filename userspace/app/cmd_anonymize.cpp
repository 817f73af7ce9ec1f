// SPDX-License-Identifier: Apache-2.0
// memwhy anonymize: a recording that can be given away: names replaced, numbers kept, and explained the same.
#include <fmt/format.h>

#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "anonymize/anonymizer.h"
#include "app/command.h"
#include "app/file_limits.h"
#include "app/live_output.h"
#include "app/terminal.h"
#include "trace/reader.h"
#include "trace/writer.h"

namespace memwhy::app {
namespace {

constexpr const char* kAnonymizeExamples = R"(Examples:
  memwhy anonymize web.memwhy -o public.memwhy
  memwhy anonymize b.memwhy -o b2.memwhy --key ~/.memwhy-key      the same words in each recording with this key

Replaced by made-up words: names of processes, executables, files, functions, variables, hosts and mappings; ids of containers,
pods and builds. Kept: all numbers, addresses and times, and the names of libc, runtimes, allocators, standard libraries and
well-known modules, so that memwhy explain says the same of both. Look at the result before you give it away:
memwhy explain OUT --full, memwhy info OUT.)";

constexpr size_t kShortestKey = 16;

struct AnonymizeRequest {
  std::string path, output, key_file;
  FileLimits limits;
};

Result<std::string> read_key(const std::string& path) {
  if (path.empty()) return std::string();
  std::ifstream file(path, std::ios::binary);
  const std::string key((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!file.is_open() || file.bad()) return Error(ErrorCode::kBadInput, "the key " + path + " can't be read");
  if (key.size() < kShortestKey)
    return Error(ErrorCode::kBadInput,
                 fmt::format("the key {} has {} bytes, and needs {}: head -c 32 /dev/urandom makes one", path,
                             key.size(), kShortestKey));
  return key;
}

Status anonymize_into(const AnonymizeRequest& request, const std::string& key, const trace::Reader& reader,
                      NewFile& output) {
  const Result<std::unique_ptr<trace::Writer>> writer =
      trace::Writer::create(output.take(), {request.output, 0});
  if (!writer) return writer.error();
  anonymize::Anonymizer anonymizer(**writer, key);
  const Result<trace::ReadSummary> summary = reader.read_all(anonymizer);
  if (!summary) return summary.error();
  if (Status closed = (*writer)->finish(summary->ended); !closed) return closed;
  output.keep();
  if (!summary->damage.empty())
    warn(fmt::format("the recording is damaged, what is there is in {}: {}", request.output,
                     summary->damage.front()));
  if (summary->events_unknown > 0)
    warn(fmt::format("{} events of kinds that only a newer memwhy knows are left out",
                     summary->events_unknown));
  say(fmt::format("{} events in {}; look at it before you give it away: memwhy explain {} --full",
                  summary->events, request.output, request.output));
  return {};
}

Status anonymize_file(const AnonymizeRequest& request) {
  const Result<std::string> key = read_key(request.key_file);
  if (!key) return key.error();
  const Result<trace::Reader> reader = trace::Reader::open(request.path);
  if (!reader) return reader.error();
  Result<NewFile> output = NewFile::create(request.output);
  if (!output) return std::move(output).error();
  return within(
      request.limits, request.path, [&] { return anonymize_into(request, *key, *reader, *output); },
      request.output);
}

}  // namespace

Command add_anonymize(CLI::App& program) {
  CLI::App* options =
      program.add_subcommand("anonymize", "Replace the names in a recording, so that it can be given away");
  options->footer(kAnonymizeExamples);
  set_usage(*options, "memwhy anonymize FILE -o OUT [OPTIONS]");
  const auto request = std::make_shared<AnonymizeRequest>();
  options->add_option("FILE", request->path, "a recording (.memwhy)")->type_name("")->required();
  options->add_option("-o,--output", request->output, "the file to make; it must not exist")
      ->type_name("OUT")
      ->required();
  options
      ->add_option("--key", request->key_file,
                   "a file with 16 secret bytes or more: the same key gives the same words; default a new "
                   "key each time")
      ->type_name("FILE");
  add_file_limits(*options, request->limits, "reading");
  return {options, false, [request](const std::vector<std::string>&) { return anonymize_file(*request); }};
}

}  // namespace memwhy::app
