// SPDX-License-Identifier: Apache-2.0
// Which rare functions of a live Go program can be probed, and where: the file's function table has their code, the stack check
// in it is the site, and the process's memory must hold the same bytes. Nothing is attached here.
//
//   go1.23.12   runtime.mProf_Malloc 0x42f8a0   49 3b 66 10 | 76 5e      site 0x42f8a4, the object's size in CX
//   go1.22.12   runtime.mProf_Malloc 0x42c780   4c 8d a4 24 … | 0f 86    site 0x42c78c, the object's size in BX
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "events/go_probe.h"
#include "remote/memory.h"
#include "symbols/program_facts.h"

namespace memwhy::goruntime {

struct ProbeSites {
  std::vector<events::GoSite> sites;
  std::vector<std::string> not_probed;  // sentences
};

// What has to be known of the program's file.
symbols::ProgramQuestion probe_question();

// `program`: the answer. `memory`: of the process. Code that the process has not touched is brought in by reading it;
// attaching a probe would do the same. `bias`: how far the program was moved from its link-time addresses. `sampling_linked`: it can be asked for its
// heap profile; else mProf_Malloc is never called.
ProbeSites find_probe_sites(const symbols::ProgramFacts& program, remote::RemoteMemory& memory, uint64_t bias,
                            bool sampling_linked);

}  // namespace memwhy::goruntime
