// SPDX-License-Identifier: Apache-2.0
// Trees of bytes by path: what the icicle and the tree table draw.
//
//   samples                                       tree                         inverted
//   race.internal  main handle realloc   300      all 400                      all 400
//   race.internal  main flush  realloc   100      └ race.internal 400          └ race.internal 400
//                                                   └ main 400                   └ realloc 400
//                                                     ├ handle 300                 ├ handle 300
//                                                     │ └ realloc 300              │ └ main 300
//                                                     └ flush 100 …                └ flush 100 …
import type { Attribution, Cell, Frame, Mapping, MomentProcess } from "./answer";
import { bytes, hex } from "./format";

export interface Step {
  name: string;
  where: string;
  kind: string;
  key?: string; // what it is the same by at another moment, where its name may be another then
}
// Outermost first. The owner precedes the path, or is "" if none is to be drawn.
export interface Sample {
  owner: string;
  path: Step[];
  bytes: number;
}
// Its children are made when they are asked for: of ten thousand stacks most are narrower than a pixel, and nobody asks.
export class TreeNode {
  readonly name: string;
  readonly where: string;
  readonly kind: string;
  readonly bytes: number;
  readonly own: number;
  private made: TreeNode[] | null = null;

  // `depth`: of its step in the paths of its samples; -1 is the owner, and -2 the root.
  constructor(
    { name, where, kind }: Step,
    readonly owner: string,
    readonly parent: TreeNode | null,
    private readonly samples: Sample[],
    private readonly depth: number,
  ) {
    [this.name, this.where, this.kind] = [name, where, kind];
    this.bytes = total(samples);
    this.own = total(samples.filter(({ path }) => depth === path.length - 1));
  }
  get children(): TreeNode[] {
    return (this.made ??= this.below());
  }
  private below(): TreeNode[] {
    const next = this.depth + 1,
      groups = new Map<string, { step: Step; owner: string; samples: Sample[] }>();
    for (const sample of this.samples) {
      const { owner, path } = sample,
        step = next < 0 ? { name: owner, where: "", kind: "program" } : path[next];
      if (!step) continue;
      const group = groups.get(step.name);
      if (group) group.samples.push(sample);
      else groups.set(step.name, { step, owner, samples: [sample] });
    }
    return [...groups.values()]
      .map(({ step, owner, samples }) => new TreeNode(step, owner, this, samples, next))
      .sort((a, b) => b.bytes - a.bytes);
  }
}

const RUNTIME = new Set(["runtime", "allocator", "libc", "race", "kernel", "cut"]);
const base = (path: string) => path.slice(path.lastIndexOf("/") + 1);

function stepOf(frame: Frame): Step {
  const where = frame.file ? `${frame.file}${frame.line ? `:${frame.line}` : ""}` : (frame.module ?? "");
  const place = frame.file ? `${base(frame.file)}${frame.line ? `:${frame.line}` : ""}` : (frame.module ?? "");
  const name = frame.function ?? `0x${frame.address.toString(16)}`;
  return { name: place ? `${name} (${place})` : name, where, kind: frame.kind };
}

// Steps of each stack, made once.
class Steps {
  private readonly frames: Step[];
  private readonly made = new Map<number, Step[]>();
  constructor(private readonly all: Attribution) {
    this.frames = all.frames.map(stepOf);
  }
  of(stack: number | null): Step[] {
    if (stack == null) return [];
    let path = this.made.get(stack);
    if (!path) {
      const { frames, truncated } = this.all.stacks[stack]!;
      path = frames.map((index) => this.frames[index]!).reverse();
      if (truncated) path.unshift({ name: "[cut]", where: "the stack does not reach its root", kind: "cut" });
      this.made.set(stack, path);
    }
    return path;
  }
}

const shortName = ({ name, file }: Mapping) => base(name || file || "anonymous");
export function mappingName(all: Attribution, index: number | null): string {
  const mapping = index == null ? null : all.mappings[index];
  if (!mapping) return "several mappings";
  return `${shortName(mapping)} ${hex(mapping.start)}-${hex(mapping.end)} ${mapping.permissions}`;
}
// Of a cell without a stack. A mapping grows at its end, and a stack at its start.
function mappingStep(all: Attribution, cell: Cell): Step {
  const where = cell.how ?? "";
  if (cell.rest) return { name: "[smaller ones]", where, kind: "none" };
  const name = mappingName(all, cell.mapping),
    mapping = cell.mapping == null ? null : all.mappings[cell.mapping];
  if (!mapping) return { name, where, kind: "none" };
  const fixed = mapping.name === "[stack]" ? mapping.end : mapping.start;
  return { name, where, kind: "none", key: `${shortName(mapping)} ${hex(fixed)}` };
}

export function residentSamples(all: Attribution): Sample[] {
  const steps = new Steps(all);
  return all.cells.map((cell) => {
    const path = steps.of(cell.stack);
    return { owner: cell.owner, path: path.length ? path : [mappingStep(all, cell)], bytes: cell.bytes };
  });
}
export function allocatedSamples(all: Attribution): Sample[] {
  const steps = new Steps(all);
  return (all.allocated ?? []).map((each) => {
    const path = steps.of(each.stack);
    return {
      owner: "go.heap.live",
      path: path.length ? path : [{ name: "[unknown]", where: "", kind: "unknown" }],
      bytes: each.bytes,
    };
  });
}
export function keptSamples(process: MomentProcess): Sample[] {
  const steps = new Steps(process);
  return (process.goroutines?.groups ?? [])
    .filter((group) => group.kept_bytes)
    .map((group) => ({
      owner: "go.stacks",
      bytes: group.kept_bytes!,
      path: [
        {
          name: `${group.count} × ${group.wait_reason ?? "running"}`,
          where: group.created_at ? `created at ${group.created_at}` : "",
          kind: "none",
          key: `${group.wait_reason ?? "running"} ${group.created_at ?? ""}`,
        },
        ...steps.of(group.stack),
      ],
    }));
}

const step = (name: string, where = ""): Step => ({ name, where, kind: "none" });
export function heldSamples(process: MomentProcess): Sample[] {
  const steps = new Steps(process);
  return (process.go?.held?.holders ?? []).map((holder) => {
    const many = holder.objects === 1 ? "1 object" : `${holder.objects.toLocaleString("en-US")} objects`;
    const where = [
      many,
      holder.used_by ? `used by ${holder.used_by}` : "",
      holder.created_at ? `created at ${holder.created_at}` : "",
    ];
    const name =
      holder.kind === "variable"
        ? (holder.name ?? `variable at ${hex(holder.address ?? 0)}`)
        : holder.kind === "finalizers"
          ? "queue of finalizers"
          : `${holder.count ?? 1} goroutine${holder.count === 1 ? "" : "s"}`;
    const path = [step(`${holder.kind}`), step(name, where.filter(Boolean).join(", ")), ...steps.of(holder.stack)];
    return { owner: "go.heap.live", bytes: holder.bytes, path };
  });
}

export const withoutRuntime = (samples: Sample[]): Sample[] =>
  samples.map((sample) => {
    const path = sample.path.filter((step) => !RUNTIME.has(step.kind));
    return path.length ? { ...sample, path } : { ...sample, path: sample.path.slice(-1) };
  });
export const inverted = (samples: Sample[]): Sample[] =>
  samples.map((sample) => ({ ...sample, path: [...sample.path].reverse() }));
export function matching(samples: Sample[], words: string): Sample[] {
  const wanted = words.toLowerCase();
  const found = new Map<Step, boolean>();
  const fits = (step: Step) => {
    let fit = found.get(step);
    if (fit === undefined)
      found.set(step, (fit = step.name.toLowerCase().includes(wanted) || step.where.toLowerCase().includes(wanted)));
    return fit;
  };
  return wanted
    ? samples.filter((sample) => sample.owner.toLowerCase().includes(wanted) || sample.path.some(fits))
    : samples;
}
export const total = (samples: Sample[]) => samples.reduce((sum, sample) => sum + sample.bytes, 0);

// What `now` has more than `before`, by owner and path; less is summed up apart.
export function grown(before: Sample[], now: Sample[]): { samples: Sample[]; shrunk: number } {
  const key = (sample: Sample) => `${sample.owner}\n${sample.path.map((step) => step.key ?? step.name).join("\n")}`;
  const sums = new Map<string, Sample>();
  for (const [samples, sign] of [
    [now, 1],
    [before, -1],
  ] as const)
    for (const sample of samples) {
      const name = key(sample),
        there = sums.get(name);
      if (there) there.bytes += sign * sample.bytes;
      else sums.set(name, { ...sample, bytes: sign * sample.bytes });
    }
  const all = [...sums.values()];
  return {
    samples: all.filter((sample) => sample.bytes > 0),
    shrunk: 0 - total(all.filter((sample) => sample.bytes < 0)),
  };
}

export const treeOf = (samples: Sample[], name: string) => new TreeNode(step(name), "", null, samples, -2);
export const says = (node: TreeNode, whole: number) =>
  `${node.name}: ${bytes(node.bytes)}, ${((100 * node.bytes) / Math.max(1, whole)).toFixed(1)} %`;
