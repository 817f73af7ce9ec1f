# SPDX-License-Identifier: Apache-2.0
"""The agent as its unit has it: Debian 12 with systemd and the .deb in a virtual machine, because a unit has its user, capabilities and
filter of system calls only from a real systemd, and hooks only where processes have the kernel's own numbers. A part of
tools/soak package.

    root of try_packages.py + .deb + GUEST ─► initramfs ─► qemu (tests/vm) ─► second serial line ─► judged here

usage: try_service.py PACKAGES WORK C_HEAP [KERNEL]...    as root; C_HEAP: the workload c_heap_static; kernels: 6.1 6.12"""
import pathlib
import re
import shutil
import subprocess
import sys

import try_packages

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/vm"))
import run as vm  # noqa: E402

TIMEOUT = 3600  # under TCG
# What the guest does once its services are started. Each line of the result is "KEY VALUE"; unbounded waits end with the machine.
GUEST = r"""#!/bin/bash
exec >/dev/ttyS1 2>&1
metrics() { exec 3<>/dev/tcp/127.0.0.1/9435 && printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3 && cat <&3; exec 3>&-; }
until_metric() { until metrics | grep -m1 "$1"; do sleep 1; done; }
pid=$(systemctl show -P MainPID memwhy-agent)
echo "started $(systemctl is-active memwhy-agent) $(systemctl show -P StatusText memwhy-agent)"
echo "user $(stat -c %U /proc/$pid)"
echo "seccomp $(awk '/^Seccomp:/ { print $2 }' /proc/$pid/status) $(awk '/^NoNewPrivs:/ { print $2 }' /proc/$pid/status)"
echo "capabilities $(awk '/^CapBnd:/ { print $2 }' /proc/$pid/status)"
mkfifo /tmp/in && exec 4<>/tmp/in
setpriv --reuid nobody --clear-groups /root/c_heap freed 60 </tmp/in >/tmp/out & heap=$!
until grep -q ready /tmp/out; do sleep 1; done
echo "finding $(until_metric '^memwhy_finding_bytes{unit="[^"]*",cause="c-heap-free"')"
echo "cost $(until_metric '^memwhy_agent_cpu_seconds_total{part="bpf"}')"
memwhy agent trigger $heap; echo "trigger $?"
until ls /var/lib/memwhy/*_request.memwhy; do sleep 1; done
echo "mode $(stat -c '%a %U' /var/lib/memwhy/*_request.memwhy)"
memwhy explain /var/lib/memwhy/*_request.memwhy | grep -m1 -o 'PROBLEM c-heap-free'
setpriv --reuid nobody --clear-groups memwhy agent status; echo "others $?"
echo 'nonsense = 1' >>/etc/memwhy/agent.toml
systemctl reload memwhy-agent; echo "reload $? $(systemctl is-active memwhy-agent)"
echo "refused $(until journalctl -u memwhy-agent -o cat | grep -m1 nonsense; do sleep 1; done)"
kill -STOP $pid; echo "hung"; until [ "$(systemctl show -P NRestarts memwhy-agent)" != 0 ]; do sleep 1; done
echo "watchdog $(systemctl show -P NRestarts memwhy-agent)"
sed -i '/nonsense/d' /etc/memwhy/agent.toml
systemctl reset-failed memwhy-agent; systemctl restart memwhy-agent && systemctl stop memwhy-agent
echo "stopped $(systemctl show -P Result memwhy-agent) $(systemctl show -P ExecMainStatus memwhy-agent)"
journalctl -u memwhy-agent -o cat --no-pager
echo vm-end
systemctl poweroff --force --force
"""
UNIT = """[Unit]
Wants=memwhy-agent.service
After=memwhy-agent.service
[Service]
Type=oneshot
ExecStart=/root/guest
[Install]
WantedBy=multi-user.target
"""
WANTED = [  # what a line must look like
    r"started active", r"user memwhy$", r"seccomp 2 1$", r"capabilities 000001c000280004$",
    r'finding memwhy_finding_bytes\{.*confidence="\w+"\} (5[5-9]|6[0-9])\d{6}$', r'cost .*"bpf"\} 0\.0*[1-9]', r"trigger 0$",
    r"mode 600 memwhy$", r"PROBLEM c-heap-free$", r"others [1-9]", r"reload 0 active$", r"refused .*nonsense",
    r"watchdog [1-9]", r"stopped success 0$", r"vm-end$"]


def tree(packages, work, workload):
    """The initramfs: all of Debian's minimal system, the package installed, the agent enabled."""
    root = try_packages.debian(work, "bookworm")
    [package] = packages.glob("*.deb")
    shutil.copy(package, root / "tmp/memwhy.deb")
    try_packages.inside(root, "dpkg", "-i", "/tmp/memwhy.deb")
    try_packages.inside(root, "systemctl", "enable", "memwhy-agent")
    # Times of an emulated machine mean nothing: loading the hooks takes minutes there, where a busy host is below.
    slow = root / "etc/systemd/system/memwhy-agent.service.d/slow.conf"
    slow.parent.mkdir(parents=True)
    slow.write_text("[Service]\nTimeoutStartSec=infinity\nWatchdogSec=5min\n")
    # And a look at a process, or a fault, costs a hundred times what it does on a processor: no budget of a node pays for that.
    with open(root / "etc/memwhy/agent.toml", "a", encoding="utf-8") as toml:
        toml.write('budget = "80%"\n')
    shutil.copy(workload, root / "root/c_heap")
    (root / "root").chmod(0o755)
    (root / "root/guest").write_text(GUEST)
    (root / "root/guest").chmod(0o755)
    (root / "etc/systemd/system/guest.service").write_text(UNIT)
    try_packages.inside(root, "systemctl", "enable", "guest.service")
    for kind in ("sysinit.target.wants/systemd-hwdb-update.service", "sysinit.target.wants/ldconfig.service"):
        (root / "etc/systemd/system" / kind).unlink(missing_ok=True)
    for folder in ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/lib/apt", "var/cache", "usr/lib/udev/hwdb.d"):
        shutil.rmtree(root / folder, ignore_errors=True)
    (root / "init").symlink_to("/lib/systemd/systemd")
    archive = work / "service.cpio"
    subprocess.run("find . -xdev | cpio --quiet -o -H newc", shell=True, cwd=root, stdout=open(archive, "wb"), check=True)
    shutil.rmtree(root)
    return archive


def main(packages, work, workload, *kernels):
    packages, work = pathlib.Path(packages).resolve(), pathlib.Path(work).resolve()
    work.mkdir(parents=True, exist_ok=True)
    archive = tree(packages, work, workload)
    right = 0
    for kernel in kernels or ("6.1", "6.12"):
        image, name = vm.kernel(kernel, work / "kernels")
        lines = vm.boot(image, archive, "off", TIMEOUT, work / f"service-{kernel}.log", lambda line: print(f"[{kernel}] {line}", flush=True))
        missing = [wanted for wanted in WANTED if not any(re.match(wanted, line) for line in lines)]
        print(f"the service on {name}: " + (f"FAILED: no line {missing}" if missing else "right"))
        right += not missing
    print(f"{right} of {len(kernels or (1, 2))} right")
    return right != len(kernels or (1, 2))


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__.splitlines()[-1])
    sys.exit(main(*sys.argv[1:]))
