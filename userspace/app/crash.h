// SPDX-License-Identifier: Apache-2.0
// What memwhy says when a defect of its own ends it by a signal: a sentence, its build id and the places in its code, which
// are enough to find the defect. No addresses and values of data: they may be a target's. It does not go on: the signal still
// ends the process, and a recording is readable up to its last chunk, as after kill -9.
//
//   memwhy: a bug in memwhy 0.1.0 ended it (SIGSEGV). A file that it recorded to is readable up to then. Please report these lines:
//   memwhy: build 3f0c…a1, at +0x1a34bf +0x1a2210 +0x19f7c4
#pragma once

namespace memwhy::app {

// For this process and those that it forks; not for programs that it starts. Under a sanitizer nothing: it reports more.
void report_crashes();

}  // namespace memwhy::app
