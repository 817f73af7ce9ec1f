// SPDX-License-Identifier: Apache-2.0
#include "probe/mapping.h"

#include <sys/mman.h>

#include <cerrno>
#include <utility>

namespace memwhy::probe {

Result<Mapping> Mapping::of_map(int map, size_t bytes) {
  void* address = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);
  if (address == MAP_FAILED) return errno_error(ErrorCode::kEnvironment, "mapping BPF memory", errno);
  Mapping mapping;
  mapping.address_ = address;
  mapping.bytes_ = bytes;
  return mapping;
}
Mapping::Mapping(Mapping&& other) noexcept { *this = std::move(other); }
Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(address_, other.address_);
  std::swap(bytes_, other.bytes_);
  return *this;
}
Mapping::~Mapping() {
  if (address_) ::munmap(address_, bytes_);
}

}  // namespace memwhy::probe
