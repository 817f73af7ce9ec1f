/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Fixed-width names that exist with vmlinux.h (which has no <stdint.h>) and without it. */
#ifndef MEMWHY_ABI_TYPES_H
#define MEMWHY_ABI_TYPES_H

typedef unsigned char mw_u8;
typedef unsigned short mw_u16;
typedef unsigned int mw_u32;
typedef int mw_s32;
typedef unsigned long long mw_u64;

#ifdef __cplusplus
#define MW_ASSERT_SIZE(type, size)                                                                           \
	static_assert(sizeof(type) == (size), #type " must have the same size on both sides")
#else
#define MW_ASSERT_SIZE(type, size)                                                                           \
	_Static_assert(sizeof(type) == (size), #type " must have the same size on both sides")
#endif

#endif
