// SPDX-License-Identifier: Apache-2.0
// RemoteMemory: bytes of another process, read without stopping it and without leaving a trace in it. Bytes
// only: nothing here knows Go. Not a way to read what is not resident: an absent page is never faulted in.
//
// Reads go through a /proc/PID/mem descriptor, which is bound to the address space: after exec or exit it
// reads nothing, and a pid that was used again is never read by mistake. Nor does a read wait for a page that
// disappears between the check and the read, where userfaultfd blocks faults: process_vm_readv would. It does wait if the
// page has become one of a file with a silent server (FUSE, a dead network mount): no call avoids that, and only the server
// ends the wait, no signal either. So the recorder reads through a process of its own (files/memory_reader.h), and leaves
// it behind if it hangs.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace memwhy::remote {

// One of several ranges that are read together.
struct Piece {
  uint64_t address = 0;
  std::span<std::byte> into;
  bool zeros = false;  // as read_present(): absent pages are zeros
  bool there = false;  // it was read
};

class RemoteMemory {
 public:
  virtual ~RemoteMemory() = default;

  // Fills all of `into` from `address` on, or fails: kTargetGone when the address space is gone, kAbsent
  // when a page of the range is not resident (or not mapped). Not atomic: single aligned words are.
  virtual Status read(uint64_t address, std::span<std::byte> into) = 0;

  // As read(), but pages that were never touched read as the zeros that they would be; for anonymous memory that is known
  // to be mapped. A page that is swapped is kAbsent.
  virtual Status read_touched(uint64_t address, std::span<std::byte> into) { return read(address, into); }

  // As read(), but absent pages read as zeros. Returns the bytes that were really there.
  virtual Result<uint64_t> read_present(uint64_t address, std::span<std::byte> into) = 0;

  // As read(), but pages that are absent are brought in, as a call of the code would do. For code of the program's file.
  virtual Status read_code(uint64_t address, std::span<std::byte> into) { return read(address, into); }

  // Each as read() or read_present() would, for the price of few calls. Fails when the rest need not be tried; what was read is there.
  virtual Status read_each(std::span<Piece> pieces);

  // A read never returned, and what changes this address space would wait with it.
  virtual bool waits() { return false; }
  // A descriptor of memwhy's (-1: none) of which the last close changes the address space: a child that never returns has a copy.
  virtual void keep_open(int /*descriptor*/) {}

  // A reader calls this before it keeps `bytes` of the target's data, and before work that reads nothing: false when the
  // reading has had its share (remote/budget.h). It then ends, and reports what it left out.
  virtual bool keep(uint64_t /*bytes*/) { return true; }
  virtual void release(uint64_t /*bytes*/) {}  // that it no longer remembers
  virtual bool step(uint64_t /*n*/) { return true; }
};

// T at `address`.
template <typename T>
Result<T> read_value(RemoteMemory& memory, uint64_t address) {
  static_assert(std::is_trivially_copyable_v<T>);
  T value;
  if (Status status = memory.read(address, std::as_writable_bytes(std::span(&value, 1))); !status)
    return std::move(status).error();
  return value;
}

// `count` of T. The caller has bounded `count`; memory is taken only as far as the target has it.
template <typename T>
Result<std::vector<T>> read_array(RemoteMemory& memory, uint64_t address, size_t count) {
  static_assert(std::is_trivially_copyable_v<T>);
  constexpr size_t kStep = (1 << 20) / sizeof(T);
  std::vector<T> values;
  while (values.size() < count) {
    const size_t done = values.size();
    if (!memory.keep(std::min(count - done, kStep) * sizeof(T)))
      return Error(ErrorCode::kLimit, "an array is larger than one reading may keep");
    values.resize(std::min(count, done + kStep));
    if (Status status =
            memory.read(address + done * sizeof(T), std::as_writable_bytes(std::span(values).subspan(done)));
        !status)
      return std::move(status).error();
  }
  return values;
}

// The files of /proc/PID that a process's memory is read through.
struct MemoryFiles {
  Fd memory, pagemap;
  // `process`: a descriptor of its directory in a proc file system. kEnvironment: no permission; kTargetGone.
  static Result<MemoryFiles> open(const Fd& process);
};

// A live process, read by the calling thread.
class ProcessMemory final : public RemoteMemory {
 public:
  static Result<ProcessMemory> open(const Fd& process);  // fails as MemoryFiles does
  explicit ProcessMemory(MemoryFiles files) : files_(std::move(files)) {}

  Status read(uint64_t address, std::span<std::byte> into) override;
  Status read_touched(uint64_t address, std::span<std::byte> into) override;
  Result<uint64_t> read_present(uint64_t address, std::span<std::byte> into) override;
  Status read_code(uint64_t address, std::span<std::byte> into) override;
  // Pieces in a row that share pages are read together.
  Status read_each(std::span<Piece> pieces) override;

  uint64_t bytes_read() const { return bytes_read_; }
  uint64_t calls() const { return calls_; }

 private:
  // Pagemap words of the pages [first, first + n) into words_.
  Status look_up(uint64_t first, size_t n);
  Status transfer(uint64_t address, std::span<std::byte> into);
  Status read_together(std::span<Piece> pieces);

  MemoryFiles files_;
  std::vector<uint64_t> words_;
  std::vector<std::byte> together_;
  uint64_t bytes_read_ = 0, calls_ = 0;
};

}  // namespace memwhy::remote
