// SPDX-License-Identifier: Apache-2.0
// The parts of the page below the stacks: owners, goroutines, mappings, and what was not seen. Each is a table; a chart is used
// only where time matters.
import type { Answer, Group, LedgerLine, Mapping, Process } from "./answer";
import { ownerColour } from "./colour";
import { el, figure, table, type Child } from "./dom";
import { bytes, clockOf, count, flow, hex, rate, seconds, share } from "./format";

export const owner = (id: string) =>
  el("span", { class: "owner" }, el("i", { class: "dot", "--colour": ownerColour(id) }), id);
export const amount = (value: number | null | undefined) => figure(value, bytes(value));

export function ledgerTable(process: Process): HTMLElement {
  const rss = Math.max(1, process.rss.bytes ?? 0);
  return table<LedgerLine>(
    "Owners of the resident bytes; they sum to RSS",
    [
      { name: "owner", cell: (line) => owner(line.id), sort: (line) => line.id },
      { name: "what it is", cell: (line) => line.label, wide: true },
      { name: "bytes", number: true, cell: (line) => amount(line.bytes), sort: (line) => line.bytes },
      { name: "share", number: true, cell: (line) => share(line.bytes / rss), sort: (line) => line.bytes },
      {
        name: "growth",
        number: true,
        cell: (line) => (line.growth_bytes_per_s ? rate(line.growth_bytes_per_s) : ""),
        sort: (line) => line.growth_bytes_per_s ?? 0,
      },
      {
        name: "arrived",
        number: true,
        cell: (line) => flow(line.arrived_bytes_per_s),
        sort: (line) => line.arrived_bytes_per_s ?? 0,
      },
      {
        name: "left",
        number: true,
        cell: (line) => flow(line.left_bytes_per_s),
        sort: (line) => line.left_bytes_per_s ?? 0,
      },
      {
        name: "huge pages",
        number: true,
        cell: (line) => (line.huge_bytes ? amount(line.huge_bytes) : ""),
        sort: (line) => line.huge_bytes,
      },
    ],
    process.ledger,
  );
}

export function goroutines(process: Process): HTMLElement {
  const all = process.goroutines;
  if (!all) return el("p", { class: "quiet" }, process.go ? "The goroutines were not read." : "Not a Go program.");
  const frames = (group: Group) =>
    el(
      "details",
      {},
      el("summary", { class: "code" }, group.site ?? group.frames[0] ?? "unknown"),
      el("ol", { class: "frames" }, ...group.frames.map((frame) => el("li", {}, frame))),
    );
  return table<Group>(
    `${count(all.count)} goroutines at ${clockOf(all.t)} UTC, by where they are`,
    [
      { name: "count", number: true, cell: (group) => count(group.count), sort: (group) => group.count },
      {
        name: "state",
        cell: (group) => group.wait_reason ?? "running or in a call",
        sort: (group) => group.wait_reason ?? "",
      },
      { name: "where", cell: frames, wide: true, sort: (group) => group.site ?? "" },
      {
        name: "created at",
        cell: (group) => el("span", { class: "code" }, group.created_at),
        wide: true,
        sort: (group) => group.created_at ?? "",
      },
      {
        name: "waits since",
        cell: (group) => (group.waiting_at_least_since ? clockOf(group.waiting_at_least_since) : ""),
        sort: (group) => group.waiting_at_least_since ?? "",
      },
      {
        name: "keep alone",
        number: true,
        cell: (group) => amount(group.kept_bytes),
        sort: (group) => group.kept_bytes ?? 0,
      },
      { name: "stacks", number: true, cell: (group) => amount(group.stack_bytes), sort: (group) => group.stack_bytes },
    ],
    all.groups,
  );
}

interface MappingRow {
  mapping: Mapping | null;
  bytes: number;
  huge: number;
  owners: Map<string, number>;
}
export function mappings(process: Process, words: string): HTMLElement {
  const rows = new Map<number | null, MappingRow>();
  for (const cell of process.cells) {
    let row = rows.get(cell.mapping);
    if (!row)
      rows.set(
        cell.mapping,
        (row = {
          mapping: cell.mapping == null ? null : process.mappings[cell.mapping]!,
          bytes: 0,
          huge: 0,
          owners: new Map(),
        }),
      );
    row.bytes += cell.bytes;
    row.huge += cell.huge_bytes;
    row.owners.set(cell.owner, (row.owners.get(cell.owner) ?? 0) + cell.bytes);
  }
  const name = (row: MappingRow) =>
    row.mapping?.name ?? row.mapping?.file ?? (row.mapping ? "anonymous" : "several mappings");
  const heaviest = (row: MappingRow) => [...row.owners].sort((a, b) => b[1] - a[1]);
  const wanted = words.toLowerCase();
  const shown = [...rows.values()]
    .filter(
      (row) =>
        !wanted || name(row).toLowerCase().includes(wanted) || [...row.owners.keys()].some((id) => id.includes(wanted)),
    )
    .sort((a, b) => b.bytes - a.bytes);
  return table<MappingRow>(
    "Mappings with resident pages",
    [
      { name: "resident", number: true, cell: (row) => amount(row.bytes), sort: (row) => row.bytes },
      {
        name: "mapped",
        number: true,
        cell: (row) => (row.mapping ? amount(row.mapping.end - row.mapping.start) : ""),
        sort: (row) => (row.mapping ? row.mapping.end - row.mapping.start : 0),
      },
      {
        name: "addresses",
        cell: (row) =>
          el(
            "span",
            { class: "code" },
            row.mapping ? `${hex(row.mapping.start)}-${hex(row.mapping.end)} ${row.mapping.permissions}` : "",
          ),
        sort: (row) => row.mapping?.start ?? 0,
      },
      { name: "file or name", cell: (row) => el("span", { class: "code" }, name(row)), wide: true, sort: name },
      {
        name: "owners",
        cell: (row) =>
          el(
            "span",
            {},
            ...heaviest(row)
              .slice(0, 3)
              .map(([id]) => owner(id)),
          ),
        sort: (row) => heaviest(row)[0]?.[0] ?? "",
      },
      { name: "huge pages", number: true, cell: (row) => (row.huge ? amount(row.huge) : ""), sort: (row) => row.huge },
    ],
    shown,
    60,
  );
}

const TRUSTS: Record<string, string> = {
  whole: "whole",
  recovered: "whole, from a copy of the stack",
  frame_pointers: "by frame pointers",
  jit: "in code made at run time",
  cut: "cut",
  unreadable: "unreadable",
  lost: "lost",
};
export function coverage(answer: Answer, process: Process): HTMLElement {
  const mine = process.coverage,
    all = answer.coverage,
    rss = Math.max(1, process.rss.bytes ?? 0);
  const facts: [string, Child][] = [
    [
      "Unattributed",
      el(
        "span",
        {},
        amount(mine.unattributed_bytes),
        mine.unattributed_bytes == null
          ? ""
          : ` (${share(mine.unattributed_bytes / rss)}) arrived while watched, and nobody saw how`,
      ),
    ],
    [
      "Before attach",
      el(
        "span",
        {},
        amount(mine.before_attach_bytes),
        " were there before memwhy attached, with nothing but their address",
      ),
    ],
    [
      "The kernel's own count",
      mine.rss_gap_bytes == null
        ? "unknown"
        : `differs by ${bytes(Math.abs(mine.rss_gap_bytes))}; its error is up to ${bytes(process.rss.counter_error_bytes)}`,
    ],
    ["Scans", `${mine.scans}${mine.scan_complete === false ? ", the last not complete" : ""}`],
    ["Stacks that were cut", amount(mine.truncated_stack_bytes)],
    ["Stacks without room", amount(mine.lost_stack_bytes)],
    ["Doubtful", amount(mine.doubtful_bytes)],
    [
      "Page faults",
      `${count(all.faults_seen)} seen, ${count(all.faults_lost)} lost; stacks lost: ${count(all.stacks_lost)}`,
    ],
    ["Events", `${count(all.events_seen)} seen, ${count(all.events_lost)} lost`],
    [
      "Cost of the hooks",
      all.bpf_cpu_share == null ? "unknown" : `${(100 * all.bpf_cpu_share).toFixed(2)} % of one CPU`,
    ],
    [
      "Recording",
      `${all.recording.complete ? "complete" : "not complete"}, ended: ${all.recording.ended.replaceAll("_", " ")}; ${seconds(answer.interval.seconds)}`,
    ],
    ...(all.processes_left_out ? [["Processes left out", count(all.processes_left_out)] as [string, Child]] : []),
  ];
  const sentences = [
    ...all.recording.damage,
    ...all.not_seen,
    ...all.notices,
    ...all.losses.map((loss) => `Lost: ${count(loss.count)} ${loss.what}`),
    ...mine.runtimes.filter((each) => each.problem).map((each) => `${each.runtime}: ${each.problem}`),
  ];
  const trusts = Object.entries(mine.stacks ?? {}).filter(([, value]) => value > 0);
  return el(
    "div",
    { class: "columns" },
    el("dl", { class: "facts" }, ...facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
    el(
      "div",
      {},
      sentences.length
        ? el("ul", { class: "sentences" }, ...sentences.map((sentence) => el("li", {}, sentence)))
        : el("p", { class: "quiet" }, "Nothing was lost."),
      table<[string, number]>(
        "Pages with a stack, by how sure it is",
        [
          { name: "stack", cell: ([id]) => TRUSTS[id] ?? id },
          { name: "bytes", number: true, cell: ([, value]) => amount(value) },
        ],
        trusts,
      ),
      mine.runtimes.length
        ? table(
            "Runtimes whose tables were read",
            [
              { name: "runtime", cell: (each) => each.runtime },
              { name: "tables", cell: (each) => each.trust },
            ],
            mine.runtimes,
          )
        : null,
      table(
        "Hooks",
        [
          { name: "hook", cell: (hook) => el("span", { class: "code" }, hook.name) },
          { name: "attached", cell: (hook) => hook.attach },
          { name: "for", cell: (hook) => hook.purpose, wide: true },
        ],
        all.hooks,
      ),
    ),
  );
}
