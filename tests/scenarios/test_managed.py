# SPDX-License-Identifier: Apache-2.0
"""The heaps of a JVM and of V8, read from outside: what of them is filled, free, code and classes, with what each runtime says of itself as
referee."""
import json
import shutil
import subprocess

from support import MIB, absent
from support.answers import finding, ledger, only_process, problems
from support.referees import until_still

JAVA = """
import java.lang.management.*;
import java.util.*;
public class Keep {
  static List<Object> kept = new ArrayList<>();
  // Classes: the same one in each loader, so that all of it is there once for each.
  static class Loader extends ClassLoader {
    Class<?> define(byte[] file) { return defineClass("Keep", file, 0, file.length); }
  }
  public static void main(String[] arguments) throws Exception {
    int quarters = 4 * Integer.parseInt(arguments[0]);
    for (int i = 0; i < quarters; i++) {
      byte[] block = new byte[256 << 10];
      Arrays.fill(block, (byte) 7);
      kept.add(block);
    }
    System.gc();
    System.out.println("ready");
    for (int command = System.in.read(); command != -1; command = System.in.read()) {
      if (command == 'd') {
        kept = new ArrayList<>(kept.subList(0, quarters / 4));
        System.gc();
      }
      if (command == 'c') {
        byte[] file = Keep.class.getResourceAsStream("Keep.class").readAllBytes();
        for (int i = 0; i < 4000; i++) {
          kept.add(new Loader().define(file));
        }
      }
      if (command == 's')
        for (MemoryPoolMXBean pool : ManagementFactory.getMemoryPoolMXBeans())
          System.out.println(pool.getType() + "/" + pool.getName() + "=" + pool.getUsage().getUsed() + "/" + pool.getUsage().getCommitted());
      System.out.println("done");
    }
  }
}
"""


class Jvm:
    """Keep, with so many MiB in use; its pools by their names, (used, committed)."""

    def __init__(self, case, mib, *options):
        java, compiler = shutil.which("java"), shutil.which("javac")
        if not java or not compiler:
            absent("no JDK")
        if not (case.folder / "Keep.class").exists():
            (case.folder / "Keep.java").write_text(JAVA)
            subprocess.run([compiler, "Keep.java"], cwd=case.folder, check=True)
        self.process = case.start([java, "-Xmx512m", *options, "-cp", case.folder, "Keep", mib], stdin=subprocess.PIPE)
        self.pid = self.process.pid
        assert self.process.stdout.readline() == "ready\n"
        until_still(self.pid)

    def say(self, command):
        self.process.stdin.write(command)
        self.process.stdin.flush()
        lines = []
        for line in self.process.stdout:
            if line == "done\n":
                until_still(self.pid)
                return lines
            lines.append(line.strip())
        raise AssertionError("the JVM ended")

    def pools(self):
        return {name: tuple(map(int, numbers.split("/"))) for name, _, numbers in (line.partition("=") for line in self.say("s"))}


def looked_at(case, pid):
    process = only_process(case.explain("-p", pid, "-d", 1))
    assert problems(process) == [], problems(process)
    return process


def total(pools, start, which=0):
    return sum(sizes[which] for name, sizes in pools.items() if name.startswith(start))


def check_heap(case, jvm):
    """The pools are read by code of the JVM, which allocates what it answers with: some MiB between two moments."""
    process = looked_at(case, jvm.pid)
    trust = {each["runtime"]: each["trust"] for each in process["coverage"]["runtimes"]}
    assert trust["hotspot"] == "verified", trust
    lines, pools = ledger(process), jvm.pools()
    heap = total(pools, "Heap memory/")
    print(f"used {lines['java.heap.used'] / MIB:.2f} MiB, by the JVM {heap / MIB:.2f} MiB; free {lines['java.heap.free'] / MIB:.2f} MiB")
    assert abs(lines["java.heap.used"] - heap) <= 4 * MIB, (lines, pools)
    assert lines["java.heap.used"] + lines["java.heap.free"] <= total(pools, "Heap memory/", 1), (lines, pools)
    code = total(pools, "Non-heap memory/Code", 1)
    assert 256 << 10 <= lines["java.code"] <= code + MIB, (lines, pools)
    return process, lines, pools


def check_collector(case, option, name, *, kept):
    """What a collection frees becomes free heap, resident as far as the collector keeps it."""
    jvm = Jvm(case, 200, option)
    _, before, _ = check_heap(case, jvm)
    jvm.say("d")
    process, after, _ = check_heap(case, jvm)
    assert before["java.heap.used"] - after["java.heap.used"] >= 140 * MIB, (before, after)
    found = finding(process, "java-heap-committed")
    assert found and found["kind"] == "explains" and found["recoverable_bytes"] is None, process["findings"]
    assert found["bytes"] == after["java.heap.free"] >= kept * MIB, found
    assert f"the collector is {name}," in found["evidence"][0], found
    assert process["findings"][0]["id"] == "java-heap-committed", process["findings"]


def test_g1(case):
    check_collector(case, "-XX:+UseG1GC", "G1", kept=40)


def test_serial(case):
    check_collector(case, "-XX:+UseSerialGC", "Serial", kept=140)


def test_parallel(case):
    check_collector(case, "-XX:+UseParallelGC", "Parallel", kept=140)


def test_a_heap_that_is_touched_at_the_start(case):
    process = looked_at(case, Jvm(case, 1, "-XX:+UseSerialGC", "-Xms256m", "-XX:+AlwaysPreTouch").pid)
    found = finding(process, "java-heap-committed")
    assert found["bytes"] >= 240 * MIB and "-XX:+AlwaysPreTouch" in found["remedy"], found


def test_classes(case):
    jvm = Jvm(case, 1, "-XX:+UseSerialGC")
    before = ledger(looked_at(case, jvm.pid))
    jvm.say("c")
    after, pools = ledger(looked_at(case, jvm.pid)), jvm.pools()
    used, committed = pools["Non-heap memory/Metaspace"]  # with the space of compressed classes
    print(f"metaspace {after['java.metaspace'] / MIB:.2f} MiB, by the JVM {used / MIB:.2f} MiB of {committed / MIB:.2f} MiB")
    # Each loader has a part of its own, which it fills to some degree: what is committed was touched.
    assert committed >= 20 * MIB and 0.9 * committed <= after["java.metaspace"] <= 1.02 * committed, (after, pools)
    assert before["java.metaspace"] < 4 * MIB, before


def test_a_heap_that_is_not_read(case):
    """ZGC's: where it is is known, what of it is in use is not; RSS counts each page in three views (Java 17)."""
    jvm = Jvm(case, 40, "-XX:+UseZGC")
    process = looked_at(case, jvm.pid)
    lines, committed = ledger(process), total(jvm.pools(), "Heap memory/", 1)
    assert "java.heap.used" not in lines and lines["java.code"] > 0, lines
    assert 40 * MIB <= lines["java.heap.unread"] <= 3 * committed + MIB, (lines, committed)
    assert lines.get("shmem", 0) <= MIB, lines
    found = finding(process, "managed-heap")
    assert found and found["kind"] == "explains" and found["bytes"] == lines["java.heap.unread"], process["findings"]
    told = found["evidence"][0]
    print(f"java.heap.unread {lines['java.heap.unread'] / MIB:.1f} MiB, committed by the JVM {committed / MIB:.1f} MiB; {told}")
    views = sum("java_heap" in line and " 00000000 " in line for line in open(f"/proc/{jvm.pid}/maps"))
    assert ("several views" in told) == (views >= 2), (told, views)


def test_dotnet_is_named(case):
    """Debian has no .NET: a process that maps a library of its runtime's name is told as one whose heap is not read."""
    library = case.folder / "libcoreclr.so"
    shutil.copy("/lib/x86_64-linux-gnu/libm.so.6", library)
    script = f"import ctypes, sys\nctypes.CDLL({str(library)!r})\nprint('ready', flush=True)\nsys.stdin.readline()\n"
    program = case.start(["python3", "-c", script], stdin=subprocess.PIPE)
    assert program.stdout.readline() == "ready\n"
    told = {each["runtime"]: each for each in only_process(case.explain("-p", program.pid, "-d", 1))["coverage"]["runtimes"]}
    assert told["coreclr"]["trust"] == "unreadable" and "does not read the heap of .NET" in told["coreclr"]["problem"], told


NODE = """
const kept = [];
for (let i = 0; i < 300000; i++) kept.push({ number: i, list: ['text ' + i] });
for (let i = 0; i < 10; i++) kept.push(new Array(200000).fill(i));
const buffers = [];
for (let i = 0; i < COUNT; i++) buffers.push(Buffer.alloc(1 << 20, 1));
global.gc();
console.log('ready');
process.stdin.on('data', () => console.log(JSON.stringify([kept.length, buffers.length, process.memoryUsage(), require('v8').getHeapSpaceStatistics()])));
"""


def node_of(case, buffers):
    """Its process after a collection, and what it says of its memory and of its spaces."""
    node = shutil.which("node") or shutil.which("nodejs")
    if not node:
        absent("no node")
    started = case.start([node, "--expose-gc", "-e", NODE.replace("COUNT", str(buffers))], stdin=subprocess.PIPE)
    assert started.stdout.readline() == "ready\n"
    until_still(started.pid)
    process = looked_at(case, started.pid)
    started.stdin.write("s\n")
    started.stdin.flush()
    _, _, memory, spaces = json.loads(started.stdout.readline())
    return process, memory, {each["space_name"]: each for each in spaces}


def test_node(case):
    process, _, spaces = node_of(case, 4)
    trust = {each["runtime"]: each["trust"] for each in process["coverage"]["runtimes"]}
    assert trust["v8"] == "verified", trust
    lines = ledger(process)
    old = sum(space["space_used_size"] for name, space in spaces.items() if not name.startswith("new_") and "code" not in name)
    physical = sum(space["physical_space_size"] for space in spaces.values())
    print(f"used {lines['v8.heap.used'] / MIB:.2f} MiB, by V8 {old / MIB:.2f} MiB")
    assert old >= 32 * MIB and abs(lines["v8.heap.used"] - old) <= max(0.03 * old, MIB), (lines, spaces)
    assert abs(sum(size for name, size in lines.items() if name.startswith("v8.")) - physical) <= 4 * MIB, (lines, spaces)
    found = finding(process, "javascript-heap")
    assert found and found["kind"] == "explains" and "are the heap of V8;" in found["claim"], process["findings"]


def test_buffers_are_outside_of_the_heap_of_node(case):
    process, memory, _ = node_of(case, 200)
    lines = ledger(process)
    assert memory["external"] >= 200 * MIB
    assert lines["c.heap.used"] >= 200 * MIB > sum(size for name, size in lines.items() if name.startswith("v8.")), lines
    first = process["findings"][0]
    assert first["id"] == "javascript-heap" and first["bytes"] == lines["c.heap.used"], process["findings"]
    assert "outside of V8's heap" in first["claim"], first


# SplFixedArray has room for what it holds and no more; every fourth of the small strings stays.
PHP = """
ini_set('memory_limit', '-1');
$kept = new SplFixedArray(200000);
for ($i = 0; $i < 200000; $i++) $kept[$i] = str_repeat('x', 200 + $i % 50);
for ($i = 0; $i < 200000; $i++) if ($i % 4) $kept[$i] = null;
$large = str_repeat('y', 20 << 20);
echo "ready\\n";
fgets(STDIN);
echo memory_get_usage(), " ", memory_get_usage(true), "\\n";
"""


def test_php(case):
    php = shutil.which("php")
    if not php:
        absent("no php")
    started = case.start([php, "-r", PHP], stdin=subprocess.PIPE)
    assert started.stdout.readline() == "ready\n"
    process = looked_at(case, started.pid)
    started.stdin.write("\n")
    started.stdin.flush()
    used, taken = map(int, started.stdout.readline().split())
    trust = {each["runtime"]: each["trust"] for each in process["coverage"]["runtimes"]}
    assert trust["zend"] == "verified", trust
    lines = ledger(process)
    print(f"used {lines['php.heap.used'] / MIB:.2f} MiB, by PHP {used / MIB:.2f} MiB; taken {taken / MIB:.2f} MiB")
    assert abs(lines["php.heap.used"] - used) <= 0.02 * used, (lines, used)
    assert 0.95 * taken <= lines["php.heap.used"] + lines["php.heap.free"] <= taken, (lines, taken)
    found = finding(process, "php-heap")
    assert found and found["kind"] == "explains" and "scripts keep" in found["claim"], process["findings"]
