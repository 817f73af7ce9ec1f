// SPDX-License-Identifier: Apache-2.0
// The GOMEMLIMIT that fits a container: what the container's limit leaves for the Go runtime if everything else stays as it is.
// Not what the heap needs: if that is more, the container is too small, and no setting helps.
//
//   limit 512 MiB - not Go's 60 (and the 5 it grew by) - page cache 26 = GOMEMLIMIT=421MiB
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "explain/rules/rule.h"

namespace memwhy::explain {

struct GoLimit {
  uint64_t limit_bytes = 0;        // of the container
  uint64_t other_bytes = 0;        // held there and not Go's: other processes, the kernel, C
  uint64_t other_grown_bytes = 0;  // by how much that rose during the recording, where it goes on
  uint64_t cache_bytes =
      0;  // a floor for page cache: the files that it has mapped, at least a twentieth of the limit
  uint64_t bytes = 0;  // what is left; 0: nothing
  uint64_t live_bytes =
      0;                  // of the heap, after its last collection; before the first, all that may be in use
  bool collected = true;  // there was one
  // Room for the heap to be collected in.
  bool fits() const { return bytes >> 20 != 0 && bytes - bytes / 5 >= live_bytes; }
};

// nullopt: no limit, or the runtime was not read.
std::optional<GoLimit> go_limit(const Case& c);
// " For this container (512.0 MiB, ...): GOMEMLIMIT=421MiB."; "" where there is none.
std::string go_limit_text(const Case& c);

}  // namespace memwhy::explain
