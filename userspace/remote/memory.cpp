// SPDX-License-Identifier: Apache-2.0
#include "remote/memory.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "base/ids.h"

namespace memwhy::remote {

namespace {

constexpr uint64_t kPresent = uint64_t{1} << 63, kSwapped = uint64_t{1} << 62;
constexpr size_t kMostPages = 4096;  // looked up at once: 32 KiB of pagemap for 16 MiB of memory

Result<Fd> open_file(const Fd& process, const char* name) {
  Fd fd(::openat(process.get(), name, O_RDONLY | O_CLOEXEC));
  if (fd) return fd;
  const int err = errno;
  const bool denied = err == EACCES || err == EPERM;
  return errno_error(denied ? ErrorCode::kEnvironment : ErrorCode::kTargetGone,
                     std::string("opening ") + name, err);
}

Error gone() { return {ErrorCode::kTargetGone, "the address space is gone"}; }

// Pointers of a target may be anything.
Status check_range(uint64_t address, size_t bytes) {
  if (address + bytes < address) return Error(ErrorCode::kAbsent, "an address range wraps");
  return {};
}

Status status_of(const Result<uint64_t>& there) { return there ? Status() : Status(there.error()); }

constexpr uint64_t kBytesTogether = 64 << 10;

uint64_t first_page(const Piece& piece) { return piece.address >> kPageShift; }
uint64_t last_page(const Piece& piece) { return (piece.address + piece.into.size() - 1) >> kPageShift; }

// How many pieces from the first on share pages, each with the one before it.
size_t pieces_together(std::span<const Piece> pieces) {
  const auto fits = [](const Piece& piece) {
    return !piece.into.empty() && check_range(piece.address, piece.into.size()).ok();
  };
  if (!fits(pieces.front())) return 1;
  const uint64_t start = first_page(pieces.front());
  uint64_t last = last_page(pieces.front());
  size_t n = 1;
  for (; n < pieces.size() && fits(pieces[n]); ++n) {
    const uint64_t to = std::max(last, last_page(pieces[n]));
    if (first_page(pieces[n]) < start || first_page(pieces[n]) > last ||
        (to - start + 1) << kPageShift > kBytesTogether)
      break;
    last = to;
  }
  return n;
}

}  // namespace

Status RemoteMemory::read_each(std::span<Piece> pieces) {
  for (Piece& piece : pieces) {
    const Status status =
        piece.zeros ? status_of(read_present(piece.address, piece.into)) : read(piece.address, piece.into);
    piece.there = status.ok();
    if (!status && status.error().code() == ErrorCode::kTargetGone) return status;
  }
  return {};
}

Result<MemoryFiles> MemoryFiles::open(const Fd& process) {
  Result<Fd> memory = open_file(process, "mem");
  if (!memory) return std::move(memory).error();
  Result<Fd> pagemap = open_file(process, "pagemap");
  if (!pagemap) return std::move(pagemap).error();
  return MemoryFiles{std::move(*memory), std::move(*pagemap)};
}

Result<ProcessMemory> ProcessMemory::open(const Fd& process) {
  Result<MemoryFiles> files = MemoryFiles::open(process);
  if (!files) return std::move(files).error();
  return ProcessMemory(*std::move(files));
}

Status ProcessMemory::look_up(uint64_t first, size_t n) {
  words_.resize(n);
  const auto wanted = static_cast<ssize_t>(n * sizeof(uint64_t));
  ++calls_;
  if (::pread(files_.pagemap.get(), words_.data(), wanted, static_cast<off_t>(first * sizeof(uint64_t))) ==
      wanted)
    return {};
  // The map ends where user space ends; without an address space it is empty.
  uint64_t any = 0;
  if (::pread(files_.pagemap.get(), &any, sizeof any, 0) == sizeof any)
    return Error(ErrorCode::kAbsent, "not an address of a process");
  return gone();
}

Status ProcessMemory::transfer(uint64_t address, std::span<std::byte> into) {
  while (!into.empty()) {
    ++calls_;
    const ssize_t n = ::pread(files_.memory.get(), into.data(), into.size(), static_cast<off_t>(address));
    if (n == 0) return gone();
    if (n < 0) return errno_error(ErrorCode::kAbsent, "reading memory", errno);
    bytes_read_ += static_cast<uint64_t>(n);
    address += static_cast<uint64_t>(n);
    into = into.subspan(static_cast<size_t>(n));
  }
  return {};
}

Status ProcessMemory::read(uint64_t address, std::span<std::byte> into) {
  if (into.empty()) return {};
  if (Status status = check_range(address, into.size()); !status) return status;
  uint64_t page = address >> kPageShift;
  const uint64_t end = (address + into.size() - 1) >> kPageShift;
  while (page <= end) {
    const size_t n = std::min<uint64_t>(end - page + 1, kMostPages);
    if (Status status = look_up(page, n); !status) return status;
    if (!std::all_of(words_.begin(), words_.end(), [](uint64_t word) { return (word & kPresent) != 0; }))
      return Error(ErrorCode::kAbsent, "a page is not resident");
    page += n;
  }
  return transfer(address, into);
}

Status ProcessMemory::read_touched(uint64_t address, std::span<std::byte> into) {
  if (Status status = check_range(address, into.size()); !status) return status;
  while (!into.empty()) {
    if (Status status = look_up(address >> kPageShift, 1); !status) return status;
    const uint64_t word = words_.front();
    const std::span<std::byte> part = into.first(std::min(into.size(), kPageBytes - address % kPageBytes));
    if ((word & kPresent) != 0) {
      if (Status status = transfer(address, part); !status) return status;
    } else if ((word & kSwapped) != 0) {
      return Error(ErrorCode::kAbsent, "a page is swapped");
    } else {
      std::fill(part.begin(), part.end(), std::byte{0});
    }
    address += part.size();
    into = into.subspan(part.size());
  }
  return {};
}

Status ProcessMemory::read_each(std::span<Piece> pieces) {
  while (!pieces.empty()) {
    const std::span<Piece> some = pieces.first(pieces_together(pieces));
    Status status = some.size() > 1 ? read_together(some) : RemoteMemory::read_each(some);
    if (!status && status.error().code() == ErrorCode::kTargetGone) return status;
    pieces = pieces.subspan(some.size());
  }
  return {};
}

Status ProcessMemory::read_together(std::span<Piece> pieces) {
  const uint64_t first = first_page(pieces.front());
  uint64_t last = first;
  for (const Piece& piece : pieces) last = std::max(last, last_page(piece));
  together_.assign((last - first + 1) << kPageShift, std::byte{0});
  // What fails for one of them does not fail for all.
  if (!look_up(first, last - first + 1)) return RemoteMemory::read_each(pieces);
  for (uint64_t page = first; page <= last;) {
    uint64_t run = page;
    while (run <= last && (words_[run - first] & kPresent) != 0) ++run;
    const auto bytes = std::span(together_).subspan((page - first) << kPageShift, (run - page) << kPageShift);
    if (!transfer(page << kPageShift, bytes)) return RemoteMemory::read_each(pieces);
    page = std::max(run, page + 1);
  }
  for (Piece& piece : pieces) {
    const auto words =
        std::span(words_).subspan(first_page(piece) - first, last_page(piece) - first_page(piece) + 1);
    piece.there = piece.zeros || std::all_of(words.begin(), words.end(),
                                             [](uint64_t word) { return (word & kPresent) != 0; });
    if (piece.there)
      std::copy_n(together_.begin() + static_cast<std::ptrdiff_t>(piece.address - (first << kPageShift)),
                  piece.into.size(), piece.into.begin());
  }
  return {};
}

Status ProcessMemory::read_code(uint64_t address, std::span<std::byte> into) {
  if (Status status = check_range(address, into.size()); !status) return status;
  return transfer(address, into);
}

Result<uint64_t> ProcessMemory::read_present(uint64_t address, std::span<std::byte> into) {
  std::fill(into.begin(), into.end(), std::byte{0});
  if (Status status = check_range(address, into.size()); !status) return std::move(status).error();
  uint64_t there = 0;
  for (size_t done = 0; done < into.size();) {
    const uint64_t page = (address + done) >> kPageShift;
    const uint64_t last = (address + into.size() - 1) >> kPageShift;
    const size_t n = std::min<uint64_t>(last - page + 1, kMostPages);
    if (Status status = look_up(page, n); !status) return std::move(status).error();
    for (size_t i = 0; i < n;) {  // runs of present pages are read at once
      size_t run = i;
      while (run < n && (words_[run] & kPresent) != 0) ++run;
      if (run == i) {
        ++i;
        continue;
      }
      const uint64_t from = std::max(address, (page + i) << kPageShift);
      const uint64_t to = std::min(address + into.size(), (page + run) << kPageShift);
      if (Status status = transfer(from, into.subspan(from - address, to - from)); !status) {
        if (status.error().code() == ErrorCode::kTargetGone) return std::move(status).error();
      } else {
        there += to - from;
      }
      i = run;
    }
    done = std::min<uint64_t>(into.size(), ((page + n) << kPageShift) - address);
  }
  return there;
}

}  // namespace memwhy::remote
