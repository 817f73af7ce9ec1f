// SPDX-License-Identifier: Apache-2.0
#include "goruntime/stack_maps.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include "base/ids.h"
#include "goruntime/words.h"

namespace memwhy::goruntime {

namespace {

// Numbers of internal/abi/symtab.go, the same from 1.19 to 1.27.
constexpr uint32_t kPcdataStackMapIndex = 1;
constexpr uint32_t kFuncdataArguments = 0, kFuncdataLocals = 1, kFuncdataObjects = 2;
constexpr uint8_t kTopFrame = 1, kWritesStackPointer = 2;
constexpr uint32_t kArgumentsUnknown = 0x80000000;
constexpr int kStartLineMinor = 20;  // the first release whose _func has a start line

constexpr uint64_t kMostMappedStack = 64 << 20;
constexpr size_t kMostTablePages = 4096;  // 16 MiB of tables
constexpr size_t kMostAtOnce = 512,
                 kMostStackPages = 1024;        // read together: goroutines, and pages of their stacks
constexpr uint64_t kMostPrefetched = 64 << 10;  // of one stack; larger ones are read on their own
constexpr uint64_t kMostFunctions = 1 << 24;
constexpr int kMostSteps = 1 << 16;  // of a sequence: each is of one instruction at least
constexpr int kStepsAtOnce = 64;     // as much work as a call of the system
constexpr int32_t kMostBits = 1 << 20;
constexpr uint64_t kMostObjects = 1 << 16;
constexpr size_t kNameBytes = 32;
constexpr uint64_t kMapCost = 512;  // bytes kept for a pc

// Their frames hold the registers of the one below, or continue it elsewhere.
constexpr std::array<std::string_view, 5> kOpaque = {"runtime.sigpanic", "runtime.asyncPreempt",
                                                     "runtime.debugCall", "reflect.makeFuncStub",
                                                     "reflect.methodValueCall"};

}  // namespace

StackMaps::StackMaps(remote::RemoteMemory& memory, const Globals& globals)
    : memory_(memory), globals_(globals), before_(memory), stacks_(memory), after_(memory) {
  const auto& m = globals.layout->moduledata;
  // funcnametab, cutab, filetab, pctab, pclntable, ftab: six slices in a row.
  if (m.ftab.offset != m.funcnametab.offset + 5 * 24) return;
  // live_words() compares a part of g. The layout may be by the words of the program's file.
  const auto& g = globals.layout->g;
  if (g.stack_lo.offset > g.sched_bp.offset || g.sched_bp.offset + 8 > g.size) return;
  Bytes bytes(m.size);
  if (!memory_.read(globals.moduledata, bytes)) return;
  const Slice names = slice(bytes, m.funcnametab.offset), pctab = slice(bytes, m.ftab.offset - 48);
  const Slice records = slice(bytes, m.ftab.offset - 24), functions = slice(bytes, m.ftab.offset);
  if (records.data != functions.data || functions.length < 2 || functions.length > kMostFunctions) return;
  text_ = field(bytes, m.text);
  gofunc_ = field(bytes, m.gofunc);
  names_ = {names.data, names.data + names.length};
  pctab_ = {pctab.data, pctab.data + pctab.length};
  records_ = {records.data, records.data + records.length};
  functions_ = functions.length - 1;  // the last one marks the end
  usable_ = names_.start < names_.end && pctab_.start < pctab_.end && records_.start < records_.end &&
            records_.bytes() / 8 > functions_;
}

bool StackMaps::copy(uint64_t address, std::byte* into, size_t bytes) {
  while (bytes > 0) {
    const uint64_t number = address >> kPageShift, inside = address % kPageBytes;
    auto found = pages_.find(number);
    if (found == pages_.end()) {
      if (pages_.size() >= kMostTablePages) return false;
      Page page(kPageBytes);
      const uint64_t start = number << kPageShift;
      if (!memory_.read(start, page) && !(globals_.file && globals_.file->read(start, page))) page.clear();
      found = pages_.emplace(number, std::move(page)).first;
    }
    if (found->second.empty()) return false;
    const size_t n = std::min<size_t>(bytes, kPageBytes - inside);
    std::memcpy(into, found->second.data() + inside, n);
    address += n;
    into += n;
    bytes -= n;
  }
  return true;
}

template <typename T>
std::optional<T> StackMaps::load(uint64_t address) {
  T value;
  if (!copy(address, reinterpret_cast<std::byte*>(&value), sizeof value)) return std::nullopt;
  return value;
}

// functab: {entry, record}, 4 bytes each, relative to the text and to the table.
std::optional<StackMaps::Function> StackMaps::function(uint64_t pc) {
  if (pc < globals_.min_pc || pc >= globals_.max_pc || pc < text_) return std::nullopt;
  const uint64_t relative = pc - text_;
  uint64_t low = 0, high = functions_;
  while (high - low > 1) {
    const uint64_t middle = low + (high - low) / 2;
    const auto entry = load<uint32_t>(records_.start + 8 * middle);
    if (!entry) return std::nullopt;
    (*entry <= relative ? low : high) = middle;
  }
  const auto slot = load<std::array<uint32_t, 2>>(records_.start + 8 * low);
  if (!slot || (*slot)[0] > relative || (*slot)[1] >= records_.bytes()) return std::nullopt;
  Function out;
  out.entry = text_ + (*slot)[0];
  out.record = records_.start + (*slot)[1];
  // entry, name, args, deferreturn, pcsp, pcfile, pcln, npcdata, unit, [start line], {id, flag, 0, nfuncdata}
  const auto words = load<std::array<uint32_t, 9>>(out.record);
  const uint64_t tail = out.record + 36 + (globals_.layout->minor >= kStartLineMinor ? 4 : 0);
  const auto bytes = load<std::array<uint8_t, 4>>(tail);
  if (!words || !bytes || (*words)[0] != (*slot)[0] || (*words)[7] > records_.bytes() / 4)
    return std::nullopt;
  out.name = (*words)[1];
  out.argument_bytes = (*words)[2];
  out.pcsp = (*words)[4];
  out.pcdata_count = (*words)[7];
  out.flags = (*bytes)[1];
  out.funcdata_count = (*bytes)[3];
  out.pcdata = tail + 4;
  out.funcdata = out.pcdata + 4 * uint64_t{out.pcdata_count};
  return out;
}

bool StackMaps::is_opaque(const Function& function) {
  std::array<char, kNameBytes> text{};
  if (function.name >= names_.bytes()) return true;
  const uint64_t left = std::min<uint64_t>(kNameBytes, names_.bytes() - function.name);
  if (!copy(names_.start + function.name, reinterpret_cast<std::byte*>(text.data()), left)) return true;
  const std::string_view name(text.data(), text.size());
  return std::any_of(kOpaque.begin(), kOpaque.end(),
                     [&](std::string_view prefix) { return name.starts_with(prefix); });
}

// A sequence of pairs of varints: the value's change (zigzag), and the bytes of code for which it holds.
std::optional<int32_t> StackMaps::value_at(uint32_t sequence, uint64_t entry, uint64_t pc) {
  if (sequence == 0) return -1;
  uint64_t at = pctab_.start + sequence, until = entry;
  uint32_t value = ~0u;
  const auto varint = [&]() -> std::optional<uint32_t> {
    uint32_t out = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
      const auto byte = at < pctab_.end ? load<uint8_t>(at) : std::nullopt;
      if (!byte) return std::nullopt;
      ++at;
      if (shift < 32) out |= static_cast<uint32_t>(*byte & 0x7f) << shift;
      if ((*byte & 0x80) == 0) return out;
    }
    return std::nullopt;
  };
  for (int step = 0; step < kMostSteps; ++step) {
    if (step % kStepsAtOnce == kStepsAtOnce - 1 && !memory_.step(1)) return std::nullopt;
    const auto change = varint();
    if (!change || (*change == 0 && step > 0)) return std::nullopt;
    const auto bytes = varint();
    if (!bytes) return std::nullopt;
    value += (*change & 1) != 0 ? ~(*change >> 1) : *change >> 1;
    until += *bytes;
    if (pc < until) return static_cast<int32_t>(value);
  }
  return std::nullopt;
}

// Its address; 0: the function has none.
std::optional<uint64_t> StackMaps::funcdata(const Function& function, uint32_t which) {
  if (which >= function.funcdata_count) return 0;
  const auto offset = load<uint32_t>(function.funcdata + 4 * which);
  if (!offset) return std::nullopt;
  return *offset == ~0u ? 0 : gofunc_ + *offset;
}

// struct stackmap { n, nbit int32; bitmaps, each from a byte on }
std::optional<std::vector<bool>> StackMaps::bitmap(uint64_t address, int32_t index) {
  const auto header = load<std::array<int32_t, 2>>(address);
  if (!header || (*header)[0] <= 0 || (*header)[1] < 0 || (*header)[1] > kMostBits) return std::nullopt;
  const auto [count, bits] = *header;
  if (bits == 0) return std::vector<bool>();
  if (index >= count) return std::nullopt;
  const size_t each = (static_cast<size_t>(bits) + 7) / 8;
  if (!memory_.keep(each)) return std::nullopt;
  Bytes bytes(each);
  if (!copy(address + 8 + static_cast<uint64_t>(index) * each, bytes.data(), each)) return std::nullopt;
  std::vector<bool> out(static_cast<size_t>(bits));
  for (size_t i = 0; i < out.size(); ++i) out[i] = (static_cast<uint8_t>(bytes[i / 8]) >> (i % 8) & 1) != 0;
  return out;
}

// A count, then records of {offset, size, bytes with pointers (negative: by a program), their mask}.
bool StackMaps::read_objects(const Function& function, FrameMap& into) {
  const auto address = funcdata(function, kFuncdataObjects);
  if (!address) return false;
  if (*address == 0) return true;
  const auto count = load<uint64_t>(*address);
  if (!count || *count > kMostObjects || !memory_.keep(*count * sizeof(StackObject))) return false;
  for (uint64_t i = 0; i < *count; ++i) {
    const auto record = load<std::array<int32_t, 4>>(*address + 8 + 16 * i);
    if (!record) return false;
    const int64_t pointers = (*record)[2];
    into.objects.push_back({(*record)[0], static_cast<uint64_t>(pointers < 0 ? -pointers : pointers)});
  }
  return true;
}

std::optional<StackMaps::FrameMap> StackMaps::read_map(uint64_t pc) {
  const auto in = function(pc);
  if (!in) return std::nullopt;
  FrameMap out;
  if ((in->flags & kTopFrame) != 0) {
    out.top = true;
    return out;
  }
  if ((in->flags & kWritesStackPointer) != 0 || in->argument_bytes == kArgumentsUnknown || is_opaque(*in))
    return std::nullopt;
  const auto delta = value_at(in->pcsp, in->entry, pc);
  if (!delta || *delta < 0 || *delta % 8 != 0) return std::nullopt;
  out.frame_bytes = static_cast<uint32_t>(*delta);
  out.argument_bytes = in->argument_bytes & ~uint32_t{7};
  int32_t index = -1;
  // A return address: the call before it is meant. At the entry, the map of the entry is.
  if (pc != in->entry && kPcdataStackMapIndex < in->pcdata_count) {
    const auto sequence = load<uint32_t>(in->pcdata + 4 * kPcdataStackMapIndex);
    const auto value = sequence ? value_at(*sequence, in->entry, pc - 1) : std::nullopt;
    if (!value) return std::nullopt;
    index = *value;
  }
  index = std::max(index, 0);
  const auto locals = funcdata(*in, kFuncdataLocals), arguments = funcdata(*in, kFuncdataArguments);
  if (!locals || !arguments) return std::nullopt;
  if (*locals == 0) {
    out.every_local = true;  // assembly
  } else if (auto bits = bitmap(*locals, index)) {
    out.locals = std::move(*bits);
  } else {
    return std::nullopt;
  }
  if (*arguments == 0 && out.argument_bytes > 0) {
    out.arguments.assign(out.argument_bytes / 8, true);
  } else if (out.argument_bytes > 0) {
    auto bits = bitmap(*arguments, index);
    if (!bits) return std::nullopt;
    out.arguments = std::move(*bits);
  }
  if (!read_objects(*in, out)) return std::nullopt;
  return out;
}

const StackMaps::FrameMap* StackMaps::at(uint64_t pc) {
  auto [found, fresh] = maps_.try_emplace(pc);
  if (fresh && memory_.keep(kMapCost)) found->second = read_map(pc);
  return found->second ? &*found->second : nullptr;
}

// The bytes of one stack, the live words that were found, and the objects that wait for a pointer at them.
class StackMaps::Stack {
 public:
  Stack(uint64_t sp, Bytes bytes) : sp_(sp), bytes_(std::move(bytes)) {}

  bool holds(uint64_t address, uint64_t bytes) const {
    return address >= sp_ && address - sp_ <= bytes_.size() && bytes <= bytes_.size() - (address - sp_);
  }
  uint64_t at(uint64_t address) const {
    uint64_t value = 0;
    std::memcpy(&value, bytes_.data() + (address - sp_), 8);
    return value;
  }

  // false: the map does not fit the stack.
  bool add(const FrameMap& map, uint64_t sp) {
    const uint64_t above = sp + map.frame_bytes;  // of the return address
    const uint64_t end = above - (map.frame_bytes > 0 ? 8 : 0), arguments = above + 8;
    if (!holds(sp, map.frame_bytes + 8)) return false;
    if (map.every_local) {
      for (uint64_t at = sp; at < end; at += 8) take(at);
    } else if (end > sp) {
      const uint64_t size = 8 * map.locals.size();
      if (size > end - sp) return false;
      add(map.locals, end - size);
    }
    if (!map.arguments.empty() && !holds(arguments, 8 * map.arguments.size())) return false;
    add(map.arguments, arguments);
    for (const StackObject& object : map.objects) {
      const uint64_t from = (object.offset < 0 ? end : arguments) + static_cast<uint64_t>(object.offset);
      if (from < sp) continue;  // not made yet
      if (from % 8 != 0 || !holds(from, object.pointer_bytes)) return false;
      objects_.push_back({from, from + object.pointer_bytes});
    }
    return true;
  }

  void take_value(uint64_t value) {
    live_.push_back(value);
    if (holds(value, 1)) inside_.push_back(value);
  }

  // Objects of the stack that live words point at, and what they point at.
  std::vector<uint64_t> finish() {
    std::sort(objects_.begin(), objects_.end(),
              [](const AddressRange& a, const AddressRange& b) { return a.start < b.start; });
    std::vector<bool> done(objects_.size());
    while (!inside_.empty()) {
      const uint64_t address = inside_.back();
      inside_.pop_back();
      const auto after =
          std::upper_bound(objects_.begin(), objects_.end(), address,
                           [](uint64_t a, const AddressRange& object) { return a < object.start; });
      if (after == objects_.begin()) continue;
      // A pointer to its part without pointers is one to it, too.
      const auto which = static_cast<size_t>(after - objects_.begin()) - 1;
      if (done[which]) continue;
      done[which] = true;
      const AddressRange object = objects_[which];
      for (uint64_t at = object.start; at + 8 <= object.end; at += 8) take(at);
    }
    return std::move(live_);
  }

 private:
  void add(const std::vector<bool>& bits, uint64_t from) {
    for (size_t i = 0; i < bits.size(); ++i)
      if (bits[i]) take(from + 8 * i);
  }
  void take(uint64_t address) {
    if (holds(address, 8)) take_value(at(address));
  }

  uint64_t sp_;
  Bytes bytes_;
  std::vector<uint64_t> live_, inside_;
  std::vector<AddressRange> objects_;
};

bool StackMaps::read(remote::PageReader& block, uint64_t address, std::span<std::byte> into) {
  return block.copy(address, into) || memory_.read(address, into);
}

size_t StackMaps::prefetch(const std::vector<Goroutine>& goroutines, std::span<const uint32_t> which) {
  std::vector<uint64_t> gs, stacks;
  size_t n = 0;
  for (; n < which.size() && n < kMostAtOnce && stacks.size() < kMostStackPages; ++n) {
    const Goroutine& goroutine = goroutines[which[n]];
    remote::PageReader::add(gs, goroutine.address, globals_.layout->g.size);
    remote::PageReader::add(stacks, goroutine.stack_pointer(),
                            std::min<uint64_t>(goroutine.used_bytes, kMostPrefetched));
  }
  for (remote::PageReader* reader : {&before_, &stacks_, &after_}) {  // in this order
    reader->clear();
    reader->prefetch(reader == &stacks_ ? std::move(stacks) : gs);
  }
  return n;
}

std::optional<std::vector<uint64_t>> StackMaps::live_words(const Goroutine& goroutine) {
  const Layout& layout = *globals_.layout;
  uint64_t sp = goroutine.stack_pointer();
  if (!usable_ || sp % 8 != 0 || goroutine.used_bytes == 0 || goroutine.used_bytes > kMostMappedStack)
    return std::nullopt;
  Bytes before(layout.g.size), after(layout.g.size), bytes(goroutine.used_bytes);
  if (!read(before_, goroutine.address, before) || field(before, layout.g.sched_sp) != sp ||
      !read(stacks_, sp, bytes))
    return std::nullopt;
  Stack stack(sp, std::move(bytes));
  // Registers that were saved: sp, pc, g, the closure, …, bp.
  for (uint64_t at = layout.g.sched_sp.offset; at <= layout.g.sched_bp.offset; at += 8)
    stack.take_value(word(before, at));
  // Between the stack's bounds and m: two guards, the panic, the deferred calls. One that is on the stack is
  // not followed here.
  for (uint64_t at = layout.g.stack_hi.offset + 8; at < layout.g.m.offset; at += 8) {
    const uint64_t value = word(before, at);
    if (goroutine.stack().contains(value) && value >= sp) return std::nullopt;
    stack.take_value(value);
  }
  uint64_t pc = field(before, layout.g.sched_pc);
  for (;;) {  // sp rises with every frame
    const FrameMap* map = at(pc);
    if (map == nullptr) return std::nullopt;
    if (map->top) break;
    if (!stack.add(*map, sp)) return std::nullopt;
    pc = stack.at(sp + map->frame_bytes);
    sp += map->frame_bytes + 8;
  }
  const bool same =
      read(after_, goroutine.address, after) &&
      std::equal(before.begin() + layout.g.stack_lo.offset, before.begin() + layout.g.sched_bp.offset + 8,
                 after.begin() + layout.g.stack_lo.offset) &&
      static_cast<uint32_t>(field(before, layout.g.goid)) == goroutine.id &&
      field(after, layout.g.goid) == field(before, layout.g.goid);
  if (!same) return std::nullopt;
  return stack.finish();
}

}  // namespace memwhy::goruntime
