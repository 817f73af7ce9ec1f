// SPDX-License-Identifier: Apache-2.0
// The child that reads the memory of targets, from start to end (memory_reader.h; its privileges are the parser's: sandbox.h).
// It opens nothing: it gets the files of /proc/PID open.
#pragma once

namespace memwhy::files {

// Serves until memwhy closes the socket. The exit status.
int run_memory_child();

}  // namespace memwhy::files
