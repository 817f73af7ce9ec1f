// SPDX-License-Identifier: Apache-2.0
// The data of the page: the blocks of the file, inflated. An answer is what `memwhy explain --json --cells` prints (its keys
// are described in userspace/report/README.md); only what the page reads is declared here. Unknown is null, never 0.

export type Bytes = number;

export interface Finding {
  id: string;
  kind: "explains" | "problem";
  claim: string;
  headline: string;
  bytes: Bytes;
  share: number;
  growth_bytes_per_s: number | null;
  recoverable_bytes: Bytes | null;
  remedy: string;
  confidence: string;
  evidence: string[];
  against: string[];
}
export type Ages = Record<"10s" | "60s" | "600s" | "3600s", Bytes>;
export interface LedgerLine {
  id: string;
  label: string;
  bytes: Bytes;
  growth_bytes_per_s: number | null;
  arrived_bytes_per_s: number | null;
  left_bytes_per_s: number | null;
  in_heap_profile: boolean;
  ages: Ages | null;
  huge_bytes: Bytes;
  lazy_bytes: Bytes;
}
export interface GoAllocation {
  seconds: number;
  bytes_per_s: number;
  objects_per_s: number;
  large_bytes_per_s: number;
  large_objects_per_s: number;
  small_objects_per_s: Record<string, number>;
}
export interface GoPoint {
  live: Bytes;
  goal: Bytes | null;
  allocated: Bytes;
  freed: Bytes;
  gc_cycle: number;
  released: Bytes;
  allocation: GoAllocation | null;
}
export interface Point {
  t: string | null;
  rss_bytes: Bytes;
  ledger: Record<string, Bytes>;
  arrived: Record<string, Bytes>;
  left: Record<string, Bytes>;
  ages?: Ages | null;
  go: GoPoint | null;
}
export interface Event {
  t: string | null;
  what: string;
  text: string;
  bytes: Bytes | null;
  gc: { collection: number; pause_ns: number; mark_ns: number | null } | null;
}
export interface Frame {
  function: string | null;
  file: string | null;
  line: number | null;
  module: string | null;
  address: number;
  kind: string;
}
export interface Stack {
  frames: number[];
  truncated: boolean;
  trust: string;
  certain: number;
}
export interface Mapping {
  start: number;
  end: number;
  permissions: string;
  name: string | null;
  file: string | null;
  offset: number;
  shmem: boolean;
}
export interface Cell {
  owner: string;
  how: string | null;
  rest: boolean;
  mapping: number | null;
  stack: number | null;
  bytes: Bytes;
  huge_bytes: Bytes;
  lazy_bytes: Bytes;
  ages: Ages;
  oldest_ns: number | null;
}
export interface Group {
  count: number;
  wait_reason: string | null;
  site: string | null;
  created_at: string | null;
  waiting_at_least_since: string | null;
  kept_bytes: Bytes | null;
  stack_bytes: Bytes;
  frames: string[];
  stack: number | null;
}
export interface AllocationSite {
  bytes: Bytes | null;
  samples: number;
  frames: string[];
  stack: number | null;
}
export interface Holder {
  kind: "variable" | "goroutines" | "finalizers";
  name: string | null;
  used_by: string | null;
  address: number | null;
  count: number | null;
  created_at: string | null;
  bytes: Bytes;
  objects: number;
  resident_bytes: Bytes;
  shared_bytes: Bytes;
  stack: number | null;
}
export interface Go {
  version: string | null;
  race: boolean;
  cgo: boolean;
  stripped: boolean;
  layout: string;
  library: string | null;
  layout_problem: string | null;
  settings: { GOGC: number | string | null; GOMEMLIMIT: number | null };
  allocation: GoAllocation | null;
  allocation_sites: AllocationSite[];
  held: { complete: boolean; bytes: Bytes; objects: number; holders: Holder[] } | null;
}
// Where the pages are, at one moment.
export interface Attribution {
  frames: Frame[];
  stacks: Stack[];
  mappings: Mapping[];
  cells: Cell[];
  allocated?: { bytes: Bytes; stack: number | null }[];
}
export interface MomentProcess extends Attribution {
  go?: Go | null; // of the last moment alone
  pid: number;
  scan_time: string | null;
  rss_bytes: Bytes | null;
  goroutines: { t: string | null; count: number; groups: Group[] } | null;
}
export interface Process extends Attribution {
  pid: number;
  comm: string | null;
  exe: string | null;
  build_id: string | null;
  cgroup: string | null;
  container: string | null;
  pod: string | null;
  started: string | null;
  threads: number | null;
  go: Go | null;
  rss: {
    bytes: Bytes | null;
    anon: Bytes | null;
    file: Bytes | null;
    shmem: Bytes | null;
    start_bytes: Bytes | null;
    peak_bytes: Bytes | null;
    counter_bytes: Bytes | null;
    counter_error_bytes: Bytes | null;
  };
  heap_profile: { inuse_bytes: Bytes | null; source: string; rate_bytes: number | null; rate_assumed: boolean | null };
  gap_bytes: number | null;
  goroutines: MomentProcess["goroutines"];
  ledger: LedgerLine[];
  timeline: Point[];
  events: Event[];
  beside_rss: { id: string; bytes: Bytes }[];
  findings: Finding[];
  verdict: {
    is: "problem" | "no_problem" | "not_seen_long_enough";
    reason: string | null;
    seconds_more: number | null;
    watched_seconds: number | null;
    growth_seen_from_bytes_per_s: number | null;
  };
  coverage: {
    unattributed_bytes: Bytes | null;
    before_attach_bytes: Bytes | null;
    truncated_stack_bytes: Bytes | null;
    stacks: Record<string, Bytes> | null;
    rss_gap_bytes: number | null;
    stale_bytes: Bytes | null;
    lost_stack_bytes: Bytes | null;
    doubtful_bytes: Bytes | null;
    scan_complete: boolean | null;
    scans: number;
    runtimes: { runtime: string; trust: string; problem: string | null; conflict_bytes: Bytes }[];
  };
  scan_time: string | null;
  replaced_by_exec: boolean;
  note: string | null;
}
export interface Answer {
  format: string;
  interval: { start: string | null; end: string | null; seconds: number };
  processes: Process[];
  coverage: {
    hooks: { name: string; attach: string; purpose: string }[];
    not_seen: string[];
    notices: string[];
    events_seen: number;
    events_lost: number;
    faults_seen: number;
    faults_lost: number;
    stacks_lost: number;
    bpf_cpu_share: number | null;
    processes_left_out: number;
    losses: { what: string; count: number }[];
    recording: { complete: boolean; ended: string; damage: string[] };
  };
  recorder: {
    version: string | null;
    host: string | null;
    kernel: string | null;
    architecture: string | null;
    part: number;
  };
}
export interface Moment {
  t: string;
  processes: MomentProcess[];
}

async function inflated(block: Element): Promise<unknown> {
  const text = atob(block.textContent ?? ""),
    raw = new Uint8Array(text.length);
  for (let index = 0; index < text.length; ++index) raw[index] = text.charCodeAt(index);
  const stream = new Blob([raw]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}

export async function readAnswer(): Promise<Answer> {
  const block = document.getElementById("answer");
  if (!block) throw new Error("this file holds no answer: it was cut, or it is the page alone");
  const answer = (await inflated(block)) as Answer;
  if (!answer.format?.startsWith("memwhy.explain/1"))
    throw new Error(`this page reads memwhy.explain/1, and the answer is ${answer.format}`);
  return answer;
}

// Earlier moments, each inflated when it is first needed.
export class Moments {
  private readonly blocks = [...document.querySelectorAll("script[id^=moment-]")];
  private readonly read = new Map<number, Promise<Moment>>();
  // Their times, in order; the name of each block bears it.
  readonly times = this.blocks.map((block) => Number(block.id.slice("moment-".length)));

  at(index: number): Promise<Moment> {
    let moment = this.read.get(index);
    if (!moment) this.read.set(index, (moment = inflated(this.blocks[index]!) as Promise<Moment>));
    return moment;
  }
}
