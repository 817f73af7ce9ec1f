// SPDX-License-Identifier: Apache-2.0
// The program except main(): command line in, exit status out.
#pragma once

namespace memwhy::app {

// The exit status: 0, or exit_status() of what went wrong, which was printed on stderr.
int run(int argc, const char* const* argv);

}  // namespace memwhy::app
