// SPDX-License-Identifier: Apache-2.0
// What this process sets up before it does anything else: descriptors 0 to 2 exist, and the limit of descriptors is raised.
// Not its privileges (app/privilege.h).
#pragma once

namespace memwhy::app {

// Descriptors 0, 1 and 2 are always open, even when our parent closed them: otherwise a recording would be
// given one of these numbers, and what goes to stderr would be written over it. What was closed stays unusable: a result
// that was to go to stdout fails, as it should.
void hold_standard_descriptors();

// Raises the soft limit of open files to the hard one: recording takes several descriptors for each process.
void raise_open_files();

// A crash of memwhy leaves no core file: it would contain what was read of its targets.
void no_core_files();

}  // namespace memwhy::app
