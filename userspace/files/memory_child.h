// SPDX-License-Identifier: Apache-2.0
// The child that reads the memory of targets, from its start to its end (memory_reader.h; what it may do: sandbox.h, as the
// parser). It opens nothing: the files of /proc/PID are handed to it open.
#pragma once

namespace memwhy::files {

// Serves until memwhy closes the socket. The exit status.
int run_memory_child();

}  // namespace memwhy::files
