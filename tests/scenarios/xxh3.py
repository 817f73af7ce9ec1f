# SPDX-License-Identifier: Apache-2.0
"""XXH3-64 of exactly 32 bytes, after the published algorithm: to write the header hash of a recording by hand."""
import struct

MASK = (1 << 64) - 1
SECRET = struct.unpack("<4Q", bytes.fromhex("b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"))
PRIME_1, PRIME_MIX = 0x9E3779B185EBCA87, 0x165667919E3779F9


def _mix(low, high, secret):
    product = ((low ^ secret[0]) & MASK) * ((high ^ secret[1]) & MASK)
    return (product & MASK) ^ (product >> 64)


def xxh3_64_32(data):
    a, b, c, d = struct.unpack("<4Q", data)
    acc = (32 * PRIME_1 + _mix(a, b, SECRET[:2]) + _mix(c, d, SECRET[2:])) & MASK
    acc ^= acc >> 37
    acc = acc * PRIME_MIX & MASK
    return acc ^ acc >> 32
