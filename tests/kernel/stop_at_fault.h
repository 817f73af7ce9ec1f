/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What stop_at_fault.bpf.c and its test tell each other. */
#ifndef MEMWHY_TESTS_STOP_AT_FAULT_H
#define MEMWHY_TESTS_STOP_AT_FAULT_H

#include "memwhy/abi/types.h"

struct stop_at_fault {
  mw_u32 tgid;    /* whom; 0: nobody */
  mw_u32 every;   /* one fault in so many */
  mw_u64 seen;    /* faults */
  mw_u64 address; /* of the page that was touched */
  mw_u64 ip;
  mw_u32 tid;
  mw_u32 stopped; /* until the test lets it go */
};

#endif
