// SPDX-License-Identifier: Apache-2.0
// pprof: profile.proto in gzip, for go tool pprof and all that reads its profiles. Field numbers are those of
// github.com/google/pprof, proto/profile.proto.
//
//   sample_type   resident_space bytes   inuse_space bytes       period 4096 space bytes
//   sample        work ◄ main            33'554'432        0     owner anon.other, how fault, pid 4711, comm server …
//   sample        main.load ◄ main.run            0  402'653'184     owner go.heap.live: a sample of the Go heap profile
//
// inuse_space is there when a Go heap profile was read: virtual bytes of objects, as the program's own profile has them.
// It is independent of the pages, and adds nothing to them. The profile's type is not "space" as in Go's own profiles, so that
// a server that stores both does not add them up.
#include <fmt/format.h>

#include <algorithm>
#include <protozero/pbf_writer.hpp>

#include "export/code_files.h"
#include "export/exporter.h"
#include "export/samples.h"
#include "export/string_table.h"
#include "report/clock.h"

namespace memwhy::exports {
namespace {

namespace pprof_field {
enum Profile : uint32_t {
  kSampleType = 1,
  kSample,
  kMapping,
  kLocation,
  kFunction,
  kStringTable,
  kTimeNanos = 9,
  kDurationNanos,
  kPeriodType,
  kPeriod,
  kComment,
  kDefaultSampleType
};
enum ValueType : uint32_t { kType = 1, kUnit };
enum Sample : uint32_t { kLocationId = 1, kValue, kLabel };
enum Label : uint32_t { kKey = 1, kStr, kNum, kNumUnit };
enum Mapping : uint32_t {
  kMappingId = 1,
  kStart,
  kLimit,
  kOffset,
  kFilename,
  kBuildId,
  kHasFunctions,
  kHasFilenames,
  kHasLineNumbers
};
enum Location : uint32_t { kLocationNumber = 1, kMappingOf, kAddress, kLine };
enum Line : uint32_t { kFunctionId = 1, kLineNumber };
enum Function : uint32_t { kFunctionNumber = 1, kName, kSystemName, kFileOfFunction };
}  // namespace pprof_field
namespace f = pprof_field;

class PprofWriter {
 public:
  PprofWriter(const explain::Explanation& all, Output& out) : all_(all), out_(out) {
    const auto processes = present(all);
    for (const explain::ProcessExplanation* process : processes)
      with_inuse_ = with_inuse_ || !process->attribution.allocated.empty();
    types();
    for (const explain::ProcessExplanation* process : processes) add(*process);
    for (const auto& [what, number] : functions_) function(what, number);
    header(processes);
    for (const std::string* each : strings_.in_order()) put(f::kStringTable, *each);
  }

 private:
  using Pbf = protozero::pbf_writer;

  void put(uint32_t tag, std::string_view message) {
    std::string framed;
    Pbf(framed).add_bytes(tag, message.data(), message.size());
    out_.put(framed);
  }
  std::string value_type(std::string_view type, std::string_view unit) {
    std::string out;
    Pbf pbf(out);
    pbf.add_int64(f::kType, strings_.number(type));
    pbf.add_int64(f::kUnit, strings_.number(unit));
    return out;
  }
  void types() {
    put(f::kSampleType, value_type("resident_space", "bytes"));
    if (with_inuse_) put(f::kSampleType, value_type("inuse_space", "bytes"));
  }
  void header(const std::vector<const explain::ProcessExplanation*>& processes) {
    std::string out;
    Pbf pbf(out);
    TimeNs scan = 0;
    for (const auto* process : processes) scan = std::max(scan, process->scan_time.value_or(0));
    if (const auto time = all_.clock.realtime_ns(scan); time && scan != 0)
      pbf.add_int64(f::kTimeNanos, static_cast<int64_t>(*time));
    pbf.add_int64(f::kDurationNanos, static_cast<int64_t>(all_.end - all_.start));
    pbf.add_message(f::kPeriodType, value_type("resident", "bytes"));
    pbf.add_int64(f::kPeriod, kPageBytes);
    pbf.add_int64(f::kDefaultSampleType, strings_.number("resident_space"));
    pbf.add_int64(f::kComment,
                  strings_.number("memwhy: resident pages by the stack that touched them first"));
    if (processes.size() != all_.processes.size())
      pbf.add_int64(f::kComment, strings_.number("memwhy: what processes were before an exec is left out"));
    out_.put(out);
  }

  void add(const explain::ProcessExplanation& process) {
    const SampleTable table(process);
    const CodeFiles code(process);
    const uint64_t first_mapping = mappings_;
    for (const CodeFile& file : code.files()) mapping(file);
    const uint64_t first_location = locations_;
    for (const Place& place : table.places())
      location(place, place.frame != nullptr && place.frame->address != 0
                          ? first_mapping + code.of(*place.frame) + 1
                          : 0);
    std::string shared;
    label(shared, "pid", std::to_string(process.pid));
    label(shared, "comm", clean(process.comm));
    label(shared, "container", clean(process.container.value_or("")));
    for (const Sample& sample : table.resident()) {
      std::string labels = shared;
      label(labels, "owner", sample.owner);
      label(labels, "how", sample.how);
      label(labels, "mapping", sample.mapping);
      label(labels, "stack", sample.trust);
      this->sample(sample.places, first_location, sample.bytes, 0, labels);
    }
    for (const AllocatedSample& sample : table.allocated()) {
      std::string labels = shared;
      label(labels, "owner", "go.heap.live");
      this->sample(sample.places, first_location, 0, sample.bytes, labels);
    }
  }
  void label(std::string& sample, std::string_view key, std::string_view value) {
    if (value.empty()) return;
    std::string out;
    Pbf pbf(out);
    pbf.add_int64(f::kKey, strings_.number(key));
    pbf.add_int64(f::kStr, strings_.number(value));
    Pbf(sample).add_message(f::kLabel, out);
  }
  void sample(const std::vector<uint32_t>& places, uint64_t first_location, uint64_t resident, uint64_t inuse,
              const std::string& labels) {
    std::string out;
    Pbf pbf(out);
    std::vector<uint64_t> ids;
    for (const uint32_t place : places) ids.push_back(first_location + place + 1);
    pbf.add_packed_uint64(f::kLocationId, ids.begin(), ids.end());
    std::vector<int64_t> values = {static_cast<int64_t>(resident)};
    if (with_inuse_) values.push_back(static_cast<int64_t>(inuse));
    pbf.add_packed_int64(f::kValue, values.begin(), values.end());
    out += labels;
    put(f::kSample, out);
  }
  void mapping(const CodeFile& file) {
    std::string out;
    Pbf pbf(out);
    pbf.add_uint64(f::kMappingId, ++mappings_);
    pbf.add_uint64(f::kStart, file.range.start);
    pbf.add_uint64(f::kLimit, file.range.end);
    pbf.add_uint64(f::kOffset, file.offset);
    pbf.add_int64(f::kFilename, strings_.number(clean(file.module)));
    pbf.add_int64(f::kBuildId, strings_.number(clean(file.build_id)));
    // Every frame has a name, if only a place in its file: nothing is left for a tool to look up.
    pbf.add_bool(f::kHasFunctions, true);
    pbf.add_bool(f::kHasFilenames, true);
    pbf.add_bool(f::kHasLineNumbers, true);
    put(f::kMapping, out);
  }
  void location(const Place& place, uint64_t mapping) {
    const auto name = std::pair(strings_.number(place.name), strings_.number(place.file));
    const uint64_t number = functions_.try_emplace(name, functions_.size() + 1).first->second;
    std::string line;
    Pbf pbf_line(line);
    pbf_line.add_uint64(f::kFunctionId, number);
    pbf_line.add_int64(f::kLineNumber, place.line);
    std::string out;
    Pbf pbf(out);
    pbf.add_uint64(f::kLocationNumber, ++locations_);
    if (mapping != 0) pbf.add_uint64(f::kMappingOf, mapping);
    if (place.frame != nullptr) pbf.add_uint64(f::kAddress, place.frame->address);
    pbf.add_message(f::kLine, line);
    put(f::kLocation, out);
  }
  void function(const std::pair<int64_t, int64_t>& name_and_file, uint64_t number) {
    std::string out;
    Pbf pbf(out);
    pbf.add_uint64(f::kFunctionNumber, number);
    pbf.add_int64(f::kName, name_and_file.first);
    pbf.add_int64(f::kSystemName, name_and_file.first);
    pbf.add_int64(f::kFileOfFunction, name_and_file.second);
    put(f::kFunction, out);
  }

  const explain::Explanation& all_;
  Output& out_;
  bool with_inuse_ = false;
  StringTable strings_;
  std::map<std::pair<int64_t, int64_t>, uint64_t> functions_;  // by name and file
  uint64_t mappings_ = 0, locations_ = 0;                      // so far
};

}  // namespace

void write_pprof(const Material& material, Output& out) {
  Gzip packed(out);
  PprofWriter(material.explanation, packed.out());
  packed.finish();
}

}  // namespace memwhy::exports
