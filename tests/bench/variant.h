// SPDX-License-Identifier: Apache-2.0
// Variant: something that can be put on the page-fault hook and taken off again within milliseconds.
// "none" is the absence of one; peers that take seconds to attach are peer.h.
#pragma once

#include <sys/types.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace memwhy::bench {

class Variant {
 public:
  virtual ~Variant() = default;
  virtual const std::string& name() const = 0;
  virtual Status on(pid_t target) = 0;
  virtual Status off() = 0;
  // Between two passes that are not counted: learns what the last one met. false: there is nothing to learn.
  virtual bool learn() { return false; }
};

// none, empty, memwhy (with the unwind rules learned that the target needs), memwhy_pointers (no rules: frame pointers alone),
// memwhy_bulk (the fallback stack read forced, and no rules), and what a process pays that is not traced:
// memwhy_untraced (one recording, of the first bystander), memwhy_untraced_ports (two recordings over one set of programs),
// memwhy_untraced_objects (two, with a set of programs each: what ports avoid). `empty_object`: empty.bpf.o. `notes` gets
// sentences about how the hooks were attached.
Result<std::vector<std::unique_ptr<Variant>>> make_variants(const std::string& empty_object,
                                                            const std::array<pid_t, 2>& bystanders,
                                                            std::vector<std::string>& notes);

// "memwhy" of these alone.
Result<std::unique_ptr<Variant>> make_memwhy(std::vector<std::string>& notes);

}  // namespace memwhy::bench
