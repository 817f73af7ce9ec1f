// SPDX-License-Identifier: Apache-2.0
// otlp: OpenTelemetry profiles as one ProfilesData message, as it is POSTed to /v1development/profiles. Field numbers are those
// of opentelemetry-proto 1.10, opentelemetry/proto/profiles/v1development/profiles.proto. Each process is a resource; each
// sample has one value without a time, since backends refuse others. Tables are the dictionary's; in each, 0 means none.
#include <algorithm>
#include <map>
#include <protozero/pbf_writer.hpp>
#include <vector>

#include "export/code_files.h"
#include "export/exporter.h"
#include "export/samples.h"
#include "export/string_table.h"
#include "report/clock.h"

namespace memwhy::exports {
namespace {

namespace otlp_field {
enum ProfilesData : uint32_t { kResourceProfiles = 1, kDictionary };
enum Dictionary : uint32_t { kMappings = 1, kLocations, kFunctions, kLinks, kStrings, kAttributes, kStacks };
enum ResourceProfiles : uint32_t { kResource = 1, kScopeProfiles };
enum ResourceField : uint32_t { kResourceAttribute = 1 };
enum KeyValue : uint32_t { kKey = 1, kValue };
enum AnyValue : uint32_t { kStringValue = 1, kIntValue = 3 };
enum ScopeProfiles : uint32_t { kScope = 1, kProfiles };
enum Scope : uint32_t { kScopeName = 1, kScopeVersion };
enum Profile : uint32_t { kSampleType = 1, kSamples, kTime, kDuration, kPeriodType, kPeriod };
enum ValueType : uint32_t { kType = 1, kUnit };
enum SampleField : uint32_t { kStackIndex = 1, kAttributeIndices, kValues = 4 };
enum Mapping : uint32_t { kStart = 1, kLimit, kOffset, kFilename, kMappingAttributes };
enum Location : uint32_t { kMappingIndex = 1, kAddress, kLine };
enum Line : uint32_t { kFunctionIndex = 1, kLineNumber };
enum Function : uint32_t { kName = 1, kSystemName, kFile };
enum Stack : uint32_t { kLocationIndices = 1 };
enum Attribute : uint32_t { kAttributeKey = 1, kAttributeValue };
}  // namespace otlp_field
namespace o = otlp_field;

using OtlpPbf = protozero::pbf_writer;

std::string string_value(std::string_view text) {
  std::string out;
  OtlpPbf(out).add_string(o::kStringValue, text.data(), text.size());
  return out;
}

// Messages of one table of the dictionary, each once.
class MessageTable {
 public:
  MessageTable() { number(""); }
  int32_t number(const std::string& message) {
    return numbers_.try_emplace(message, static_cast<int32_t>(numbers_.size())).first->second;
  }
  void write(uint32_t tag, std::string& dictionary) const {
    std::vector<const std::string*> in_order(numbers_.size());
    for (const auto& [message, number] : numbers_) in_order[static_cast<size_t>(number)] = &message;
    for (const std::string* message : in_order) OtlpPbf(dictionary).add_message(tag, *message);
  }

 private:
  std::map<std::string, int32_t> numbers_;
};

class OtlpWriter {
 public:
  OtlpWriter(const explain::Explanation& all, Output& out) : all_(all), out_(out) {
    for (const explain::ProcessExplanation* process : present(all)) add(*process);
    std::string dictionary;
    mappings_.write(o::kMappings, dictionary);
    locations_.write(o::kLocations, dictionary);
    functions_.write(o::kFunctions, dictionary);
    OtlpPbf(dictionary).add_message(o::kLinks, std::string());
    for (const std::string* each : strings_.in_order()) OtlpPbf(dictionary).add_string(o::kStrings, *each);
    attributes_.write(o::kAttributes, dictionary);
    stacks_.write(o::kStacks, dictionary);
    put(o::kDictionary, dictionary);
  }

 private:
  void put(uint32_t tag, const std::string& message) {
    std::string framed;
    OtlpPbf(framed).add_message(tag, message);
    out_.put(framed);
  }
  static void resource_attribute(std::string& resource, std::string_view key, const std::string& value) {
    std::string out;
    OtlpPbf pbf(out);
    pbf.add_string(o::kKey, key.data(), key.size());
    pbf.add_message(o::kValue, value);
    OtlpPbf(resource).add_message(o::kResourceAttribute, out);
  }
  std::string resource(const explain::ProcessExplanation& process) const {
    std::string out, pid;
    OtlpPbf(pid).add_int64(o::kIntValue, process.pid);
    resource_attribute(out, "process.pid", pid);
    resource_attribute(out, "process.executable.name", string_value(clean(process.comm)));
    resource_attribute(out, "service.name", string_value(clean(process.comm)));
    if (!process.exe.empty())
      resource_attribute(out, "process.executable.path", string_value(clean(process.exe)));
    if (process.container) resource_attribute(out, "container.id", string_value(clean(*process.container)));
    if (!all_.recording.host.empty())
      resource_attribute(out, "host.name", string_value(clean(all_.recording.host)));
    return out;
  }

  void add(const explain::ProcessExplanation& process) {
    const SampleTable table(process);
    const std::vector<int32_t> locations = locations_of(table, CodeFiles(process));
    std::string resident, inuse;
    for (const Sample& sample : table.resident()) {
      std::vector<int32_t> attributes;
      attribute(attributes, "owner", sample.owner);
      attribute(attributes, "how", sample.how);
      attribute(attributes, "mapping", sample.mapping);
      attribute(attributes, "stack", sample.trust);
      add_sample(resident, stack(sample.places, locations), attributes, sample.bytes);
    }
    for (const AllocatedSample& sample : table.allocated())
      add_sample(inuse, stack(sample.places, locations), {}, sample.bytes);
    std::string scope, of_scope, of_resource;
    OtlpPbf scope_pbf(scope);
    scope_pbf.add_string(o::kScopeName, "memwhy");
    scope_pbf.add_string(o::kScopeVersion, clean(all_.recording.tool_version));
    OtlpPbf of_scope_pbf(of_scope);
    of_scope_pbf.add_message(o::kScope, scope);
    of_scope_pbf.add_message(o::kProfiles, profile(process, "resident_space", resident));
    if (!inuse.empty()) of_scope_pbf.add_message(o::kProfiles, profile(process, "inuse_space", inuse));
    OtlpPbf of_resource_pbf(of_resource);
    of_resource_pbf.add_message(o::kResource, resource(process));
    of_resource_pbf.add_message(o::kScopeProfiles, of_scope);
    put(o::kResourceProfiles, of_resource);
  }
  std::string value_type(std::string_view type) {
    std::string out;
    OtlpPbf pbf(out);
    pbf.add_int32(o::kType, static_cast<int32_t>(strings_.number(type)));
    pbf.add_int32(o::kUnit, static_cast<int32_t>(strings_.number("bytes")));
    return out;
  }
  std::string profile(const explain::ProcessExplanation& process, std::string_view type,
                      const std::string& samples) {
    std::string out;
    OtlpPbf pbf(out);
    pbf.add_message(o::kSampleType, value_type(type));
    out += samples;
    if (const auto time = all_.clock.realtime_ns(process.scan_time.value_or(all_.end)))
      pbf.add_fixed64(o::kTime, *time);
    pbf.add_uint64(o::kDuration, all_.end - all_.start);
    pbf.add_message(o::kPeriodType, value_type(type == "inuse_space" ? "space" : "resident"));
    pbf.add_int64(
        o::kPeriod,
        static_cast<int64_t>(type == "inuse_space" ? process.heap_profile_rate.value_or(1) : kPageBytes));
    return out;
  }
  static void add_sample(std::string& samples, int32_t stack, const std::vector<int32_t>& attributes,
                         uint64_t bytes) {
    std::string out;
    OtlpPbf pbf(out);
    pbf.add_int32(o::kStackIndex, stack);
    pbf.add_packed_int32(o::kAttributeIndices, attributes.begin(), attributes.end());
    const std::vector<int64_t> values = {static_cast<int64_t>(bytes)};
    pbf.add_packed_int64(o::kValues, values.begin(), values.end());
    OtlpPbf(samples).add_message(o::kSamples, out);
  }
  int32_t attribute(std::string_view key, std::string_view value) {
    std::string out;
    OtlpPbf pbf(out);
    pbf.add_int32(o::kAttributeKey, static_cast<int32_t>(strings_.number(key)));
    pbf.add_message(o::kAttributeValue, string_value(value));
    return attributes_.number(out);
  }
  void attribute(std::vector<int32_t>& into, std::string_view key, std::string_view value) {
    if (!value.empty()) into.push_back(attribute(key, value));
  }
  int32_t stack(const std::vector<uint32_t>& places, const std::vector<int32_t>& locations) {
    std::vector<int32_t> innermost_first;
    for (const uint32_t place : places) innermost_first.push_back(locations[place]);
    std::string out;
    OtlpPbf(out).add_packed_int32(o::kLocationIndices, innermost_first.begin(), innermost_first.end());
    return stacks_.number(out);
  }
  int32_t mapping(const CodeFile& file) {
    std::string out;
    OtlpPbf pbf(out);
    pbf.add_uint64(o::kStart, file.range.start);
    pbf.add_uint64(o::kLimit, file.range.end);
    pbf.add_uint64(o::kOffset, file.offset);
    pbf.add_int32(o::kFilename, static_cast<int32_t>(strings_.number(clean(file.module))));
    if (!file.build_id.empty()) {
      const std::vector<int32_t> build = {attribute("process.executable.build_id.gnu", clean(file.build_id))};
      pbf.add_packed_int32(o::kMappingAttributes, build.begin(), build.end());
    }
    return mappings_.number(out);
  }
  int32_t location(const Place& place, int32_t mapping) {
    std::string function, line, out;
    OtlpPbf function_pbf(function);
    function_pbf.add_int32(o::kName, static_cast<int32_t>(strings_.number(place.name)));
    if (!place.file.empty())
      function_pbf.add_int32(o::kFile, static_cast<int32_t>(strings_.number(place.file)));
    OtlpPbf line_pbf(line);
    line_pbf.add_int32(o::kFunctionIndex, functions_.number(function));
    line_pbf.add_int64(o::kLineNumber, place.line);
    OtlpPbf pbf(out);
    if (mapping != 0) pbf.add_int32(o::kMappingIndex, mapping);
    if (place.frame != nullptr) pbf.add_uint64(o::kAddress, place.frame->address);
    pbf.add_message(o::kLine, line);
    return locations_.number(out);
  }
  std::vector<int32_t> locations_of(const SampleTable& table, const CodeFiles& code) {
    std::vector<int32_t> mappings, out;
    for (const CodeFile& file : code.files()) mappings.push_back(mapping(file));
    for (const Place& place : table.places()) {
      const bool in_code = place.frame != nullptr && place.frame->address != 0;
      out.push_back(location(place, in_code ? mappings[code.of(*place.frame)] : 0));
    }
    return out;
  }

  const explain::Explanation& all_;
  Output& out_;
  StringTable strings_;
  MessageTable mappings_, locations_, functions_, attributes_, stacks_;
};

}  // namespace

void write_otlp(const Material& material, Output& out) { OtlpWriter(material.explanation, out); }

}  // namespace memwhy::exports
