# SPDX-License-Identifier: Apache-2.0
"""An hour of a large Go service with -race, as an event script (tests/support/event_script.h): 20 owners, as many stacks as are
asked for, a scan every ten seconds, counters every second. The same in each run."""
import random

PAGES_OF_STACK = 16
CODE, PLACES = 0x401000, 5000  # code addresses, 16 bytes apart, each a function of its own
LEAVES, LEAF_PLACES = 0x500000, 200  # of the innermost frames: no return addresses

HEAD = """@100 info tool=0.1.0 host=big kernel=6.12 arch=x86_64 cpus=8 what="pid 4711"
anchor
hooks page_fault_user:tp_btf read=direct
binary b1 /srv/api inode=7 device=2049 build=c0ffee42 go=go1.26.8 race cgo
binary b2 /usr/lib/libc.so.6 inode=9 device=2049 build=abad1dea
attach 1 pid=4711 comm=api exe=/srv/api binary=b1 started=40000000000
threads 1 4711:0xc000012f00:0x7f6349e00740 4712:0x7f63013fae00:0x7f63013fb6c0
vmas 1
  400+4096 r-xp /srv/api inode=7 device=2049
  1700+64 rw-p /srv/api inode=7 device=2049 offset=0x1300000
  1740+2816 rw-p
  3bfe3+330 rw-p [heap]
  1000000+2097152 rw-p
  c000000+65536 rw-p "[anon: Go: heap]"
  218000000+32768 rw-p
  306000000+8192 rw-p
  7f6200000+512 rw-s /dev/shm/cache inode=11 device=25 shmem
  7f6210000+512 rw-s /var/data inode=12 device=2049
  7f62e0000+8192 rw-p
  7f6300bfb+1 ---p
  7f6300bfc+2048 rw-p
  7f6310000+1024 rw-p
  7f634aadd+342 r-xp /usr/lib/libc.so.6 inode=9 device=2049 offset=0x26000
  7f634ac8a+2 rw-p /usr/lib/libc.so.6 inode=9 device=2049 offset=0x1d3000
  7f634ac8c+13 rw-p
  7ffd32e03+33 rw-p [stack]
stack s1 1 0x3f0000 0x3f1000
stack s2 1 0x3f2000 0x3f1000
stack s3 1 0x3f3000 0x3f1000
symbol 1 0x3f0000 binary=b1 "__tsan::ShadowSet(__tsan::RawShadow*, __tsan::RawShadow*, __tsan::RawShadow*)@:0"
symbol 1 0x3f1000 ret binary=b1 runtime.goexit@/usr/local/go/src/runtime/asm_amd64.s:1700
symbol 1 0x3f2000 binary=b1 "__tsan::TraceSwitchPart(__tsan::ThreadState*)@:0"
symbol 1 0x3f3000 binary=b1 "runtime.(*spanSet).push@/usr/local/go/src/runtime/mspanset.go:90"
"""

# What each scan finds besides the pages of the stacks.
FIXED = """  400+2000 file
  1700+40
  1740+2000
  3bfe3+200
  c000000+6000
  218000000+{shadow}
  306000000+900
  7f6200000+300
  7f6210000+300 file
  7f62e0000+8192
  7f6300bfc+20
  7f6310000+400
  7f634aadd+200 file
  7f634ac8a+2
  7f634ac8c+5
  7ffd32e1f+4
"""
GO = ("go-heap 1 in_use=20M free=2M goal=40M live=12M gc={gc} quiet spans=900: "
      "c000000+4000 heap live=9M dead=3M free=3M, c000fa0+500 stack, c001194+300 work, c0012c0+600 idle, c001518+300 released, c001644+300 profiler\n")


def script(seconds, stacks):
    chance = random.Random(5)
    lines = [HEAD]
    for place in range(PLACES):
        lines.append(f"symbol 1 {CODE + 16 * place:#x} ret binary=b1 api/internal/store{place % 40}.(*Table[...]).Insert{place}"
                     f"@/srv/src/api/internal/store{place % 40}/table.go:{10 + place % 900}\n")
    for leaf in range(LEAF_PLACES):
        lines.append(f"symbol 1 {LEAVES + 16 * leaf:#x} binary=b1 api/internal/fill.Fill{leaf}@/srv/src/api/internal/fill/fill.go:{10 + leaf}\n")
    for stack in range(stacks):
        leaf = LEAVES + 16 * chance.randrange(LEAF_PLACES)
        frames = " ".join(f"{CODE + 16 * chance.randrange(PLACES):#x}" for _ in range(20))
        lines.append(f"stack s{10 + stack} 1 {leaf:#x} {frames} 0x3f1000\n")
    scans = max(seconds // 10, 1)
    for second in range(1, seconds + 1):
        lines.append(f"@{100 + second} counters 1 anon={700 + second // 10}M file=9M shmem=1M error=128K peak=2G threads=2\n")
        if second % 10 and second != seconds:
            continue
        scan = second // 10
        before, now = stacks * (scan - 1) // scans, stacks * scan // scans
        table = [f"{0x1000000 + PAGES_OF_STACK * stack:x}+{PAGES_OF_STACK} s{10 + stack} @{95 + second} w" for stack in range(before, now)]
        if scan == 2:
            table += ["218000000+1000 s1 @110 w", "7f6310000+200 s2 @110 w", "7f63100f0+20 s3 @110 w"]
        if table:
            lines.append("table 1\n" + "".join(f"  {entry}\n" for entry in table))
        lines.append(GO.format(gc=scan))
        lines.append("scan 1\n" + FIXED.format(shadow=14000 + scan) + (f"  1000000+{PAGES_OF_STACK * now}\n" if now else ""))
    lines.append("recording-end stopped\n")
    return "".join(lines)


if __name__ == "__main__":
    import sys
    sys.stdout.write(script(int(sys.argv[1]), int(sys.argv[2])))
