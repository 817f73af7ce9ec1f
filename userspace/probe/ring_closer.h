// SPDX-License-Identifier: Apache-2.0
// RingCloser: who owns a ring of the kernel side, as libbpf reads it, is a std::unique_ptr<ring_buffer, RingCloser>.
#pragma once

struct ring_buffer;

namespace memwhy::probe {

struct RingCloser {
  void operator()(ring_buffer* ring) const;
};

}  // namespace memwhy::probe
