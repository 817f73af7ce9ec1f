// SPDX-License-Identifier: Apache-2.0
#include "pprof/heap.h"

#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <protozero/pbf_reader.hpp>
#include <string_view>
#include <unordered_map>

#include "base/text.h"

namespace memwhy::pprof {

namespace {

constexpr size_t kMostBytes = size_t{1} << 30;
constexpr size_t kMostSamples = 64;        // kept
constexpr size_t kMostSampleFrames = 128;  // of a sample, as of any stack
constexpr size_t kMostName = 1 << 10;      // of a function or a file, in bytes
constexpr uint64_t kMostInUse = INT64_MAX;

Error bad(const char* what) { return {ErrorCode::kBadInput, std::string("the heap profile ") + what}; }

Result<std::string> inflate_all(std::span<const std::byte> file) {
  const bool gzip = file.size() > 2 && file[0] == std::byte{0x1f} && file[1] == std::byte{0x8b};
  if (!gzip) return std::string(reinterpret_cast<const char*>(file.data()), file.size());
  z_stream stream{};
  if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK) return bad("could not be decompressed");
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(file.data()));  // zlib does not write it
  stream.avail_in = static_cast<uInt>(file.size());
  std::string out;
  std::vector<char> block(size_t{1} << 20);
  int result = Z_OK;
  while (result == Z_OK && out.size() < kMostBytes) {
    stream.next_out = reinterpret_cast<Bytef*>(block.data());
    stream.avail_out = static_cast<uInt>(block.size());
    result = inflate(&stream, Z_NO_FLUSH);
    out.append(block.data(), block.size() - stream.avail_out);
  }
  inflateEnd(&stream);
  if (result != Z_STREAM_END) return bad("is damaged, or larger than 1 GiB");
  return out;
}

// profile.proto of github.com/google/pprof; only the fields that are read.
struct Function {
  uint64_t name = 0, file = 0;
};
struct Line {
  uint64_t function = 0, line = 0;
};
struct Sample {
  uint64_t bytes = 0;  // 0: none, or fewer than none
  std::vector<uint64_t> locations;
};

class Profile {
 public:
  Result<HeapProfile> read(const std::string& bytes) {
    protozero::pbf_reader in(bytes);
    std::vector<std::string_view> samples;
    std::vector<uint64_t> sample_types;
    while (in.next()) {
      switch (in.tag()) {
        case 1:
          sample_types.push_back(first_varint(message(in), 1));
          break;
        case 2:
          samples.push_back(view(in));
          break;
        case 4:
          add_location(message(in));
          break;
        case 5:
          add_function(message(in));
          break;
        case 6:
          strings_.push_back(view(in));
          break;
        default:
          in.skip();
      }
    }
    size_t column = 0;
    while (column < sample_types.size() && string(sample_types[column]) != "inuse_space") ++column;
    if (column == sample_types.size()) return bad("has no inuse_space: it is a profile of something else");
    HeapProfile heap;
    std::vector<Sample> found;
    for (const std::string_view each : samples) {
      Sample sample = read_sample(each, column);
      if (sample.bytes == 0) continue;
      if (sample.bytes > kMostInUse - heap.inuse_bytes) return bad("has more bytes in use than there can be");
      heap.inuse_bytes += sample.bytes;
      found.push_back(std::move(sample));
    }
    std::stable_sort(found.begin(), found.end(),
                     [](const Sample& a, const Sample& b) { return a.bytes > b.bytes; });
    if (found.size() > kMostSamples) found.resize(kMostSamples);
    for (const Sample& sample : found) heap.samples.push_back({sample.bytes, frames(sample)});
    return heap;
  }

 private:
  using Wire = protozero::pbf_wire_type;

  // A field of another type than it must have is damage like any other: the library would take it for our mistake.
  static void require(const protozero::pbf_reader& in, Wire type) {
    if (in.wire_type() != type) throw protozero::unknown_pbf_wire_type_exception();
  }
  static uint64_t number(protozero::pbf_reader& in) {
    require(in, Wire::varint);
    return in.get_uint64();
  }
  static std::string_view view(protozero::pbf_reader& in) {
    require(in, Wire::length_delimited);
    const protozero::data_view bytes = in.get_view();
    return {bytes.data(), bytes.size()};
  }
  static protozero::pbf_reader message(protozero::pbf_reader& in) {
    require(in, Wire::length_delimited);
    return in.get_message();
  }

  static uint64_t first_varint(protozero::pbf_reader in, uint32_t tag) {
    while (in.next()) {
      if (in.tag() == tag) return number(in);
      in.skip();
    }
    return 0;
  }

  // Repeated numbers come packed or one by one.
  static void numbers(protozero::pbf_reader& in, std::vector<uint64_t>& out) {
    if (in.wire_type() == protozero::pbf_wire_type::length_delimited) {
      for (const uint64_t value : in.get_packed_uint64()) out.push_back(value);
    } else {
      out.push_back(number(in));
    }
  }

  void add_location(protozero::pbf_reader in) {
    uint64_t id = 0;
    std::vector<Line> lines;
    while (in.next()) {
      if (in.tag() == 1) {
        id = number(in);
      } else if (in.tag() == 4) {
        protozero::pbf_reader line = message(in);
        Line& added = lines.emplace_back();
        while (line.next()) {
          if (line.tag() == 1)
            added.function = number(line);
          else if (line.tag() == 2)
            added.line = number(line);
          else
            line.skip();
        }
      } else {
        in.skip();
      }
    }
    locations_[id] = std::move(lines);
  }

  void add_function(protozero::pbf_reader in) {
    uint64_t id = 0;
    Function function;
    while (in.next()) {
      if (in.tag() == 1)
        id = number(in);
      else if (in.tag() == 2)
        function.name = number(in);
      else if (in.tag() == 4)
        function.file = number(in);
      else
        in.skip();
    }
    functions_[id] = function;
  }

  static Sample read_sample(std::string_view bytes, size_t column) {
    Sample sample;
    std::vector<uint64_t> values;
    protozero::pbf_reader in(bytes.data(), bytes.size());
    while (in.next()) {
      if (in.tag() == 1)
        numbers(in, sample.locations);
      else if (in.tag() == 2)
        numbers(in, values);
      else
        in.skip();
    }
    if (column < values.size() && values[column] <= kMostInUse) sample.bytes = values[column];
    return sample;
  }

  // Of the samples that are kept, and no more than a stack has: a location that many samples name is a few bytes in each.
  std::vector<std::string> frames(const Sample& sample) {
    std::vector<std::string> out;
    for (const uint64_t location : sample.locations) {
      for (const Line& line : locations_[location]) {
        if (out.size() == kMostSampleFrames) return out;
        out.push_back(frame(line));
      }
    }
    return out;
  }

  std::string frame(const Line& line) {
    const Function& function = functions_[line.function];
    return std::string(string(function.name)) + " (" + std::string(base_name(string(function.file))) + ":" +
           std::to_string(line.line) + ")";
  }

  std::string_view string(uint64_t index) const {
    return index < strings_.size() ? strings_[index].substr(0, kMostName) : "";
  }

  std::vector<std::string_view> strings_;
  std::unordered_map<uint64_t, std::vector<Line>> locations_;
  std::unordered_map<uint64_t, Function> functions_;
};

}  // namespace

Result<HeapProfile> read_heap(std::span<const std::byte> file) {
  Result<std::string> bytes = inflate_all(file);
  if (!bytes) return std::move(bytes).error();
  try {  // protozero reports malformed input by exceptions
    return Profile().read(*bytes);
  } catch (const protozero::exception&) {
    return bad("is damaged");
  }
}

}  // namespace memwhy::pprof
