// SPDX-License-Identifier: Apache-2.0
// The machine that memwhy is built for: the one place that chooses base/arch/. Another machine is another file there, with
// the same names.
#pragma once

#if defined(__x86_64__)
#include "base/arch/x86_64.h"
#else
#error "memwhy has no base/arch/ file for this machine"
#endif
