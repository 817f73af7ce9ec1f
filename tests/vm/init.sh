#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
# First process of the guest; run.py appends what to run. The second serial line carries the results.
export PATH=/bin:/test TMPDIR=/tmp
busybox() { /bin/busybox "$@"; }
busybox --install -s /bin
mount -t devtmpfs none /dev
mount -t proc none /proc
mount -t sysfs none /sys
mount -t bpf none /sys/fs/bpf
mount -t cgroup2 none /sys/fs/cgroup
echo +memory >/sys/fs/cgroup/cgroup.subtree_control
mount -t tmpfs none /tmp
mkdir -p /dev/shm && mount -t tmpfs none /dev/shm
exec >/dev/ttyS1 2>&1 </dev/null
stty -F /dev/ttyS1 -opost
ip link set lo up 2>/dev/null
ulimit -c 0
echo "vm-kernel $(uname -r) up $(cut -d' ' -f1 /proc/uptime)"

# expect_la57 yes|no: the paging depth that this boot is about
expect_la57() {
  if grep -qw la57 /proc/cpuinfo; then found=yes; else found=no; fi
  [ $found = "$1" ] || echo "vm-wrong la57 is $found, expected $1"
}

# tracefs on|off
tracefs() {
  umount /sys/kernel/tracing 2>/dev/null
  [ "$1" = off ] || mount -t tracefs none /sys/kernel/tracing
  if [ -d /sys/kernel/tracing/events ]; then found=on; else found=off; fi
  [ $found = "$1" ] || echo "vm-wrong tracefs is $found, expected $1"
}

# run NAME COMMAND...
run() {
  name=$1
  shift
  echo "vm-run $name"
  "$@"
  echo "vm-exit $name $?"
}

end() {
  echo "vm-end"
  sync
  poweroff -f
}

