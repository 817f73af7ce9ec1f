// SPDX-License-Identifier: Apache-2.0
// The vdso of this process: code that the kernel maps into every process, the same in all of them (of one machine).
#pragma once

#include <cstddef>
#include <vector>

namespace memwhy::symbols {

// A copy of it, as a file; empty: there is none.
std::vector<std::byte> own_vdso();

}  // namespace memwhy::symbols
