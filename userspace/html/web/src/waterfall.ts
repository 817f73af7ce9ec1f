// SPDX-License-Identifier: Apache-2.0
// The waterfall: from the heap profile to RSS, and on to the container's limit if there is one. Each step starts where the one
// above ends, so that the sum is visible.
//
//   heap profile                       11.5 MiB  ▌
//   counted, not live                  −2.9 MiB  ▌
//   race.shadow                       663.3 MiB  ▐█████████████
//   …
//   resident (RSS)                    956.1 MiB  ████████████████████
//   rest of the container             1.7 GiB                        ▐████
//   free below its limit               …
import type { Process } from "./answer";
import { ownerColour } from "./colour";
import { el, figure } from "./dom";
import { bytes, share } from "./format";

interface WaterfallStep {
  name: string;
  says: string;
  bytes: number;
  owner: string | null;
  sum: boolean;
}

const LEAST_SHARE = 0.004,
  MOST_OWNERS = 9;

function waterfall(process: Process): WaterfallStep[] {
  const rss = process.rss.bytes;
  if (rss == null) return [];
  const steps: WaterfallStep[] = [];
  const step = (name: string, says: string, amount: number, owner: string | null, sum = false) =>
    steps.push({ name, says, bytes: amount, owner, sum });
  let lines = process.ledger;
  const profile = process.heap_profile.inuse_bytes;
  if (profile != null) {
    const inside = lines.filter((line) => line.in_heap_profile),
      resident = inside.reduce((sum, line) => sum + line.bytes, 0);
    step("heap profile", "bytes in use, as the program's own heap profile says", profile, "go.heap.live", true);
    if (resident !== profile)
      step(
        resident > profile ? "live, not counted" : "counted, not live",
        "resident live objects minus the profile, which is an estimate of the last collection",
        resident - profile,
        "go.heap.live",
      );
    lines = lines.filter((line) => !line.in_heap_profile);
  }
  const shown = lines.filter((line, index) => index < MOST_OWNERS && line.bytes >= LEAST_SHARE * rss),
    small = lines.slice(shown.length);
  for (const line of shown) step(line.id, line.label, line.bytes, line.id);
  if (small.length)
    step(
      `${small.length} smaller owner${small.length > 1 ? "s" : ""}`,
      small.map((line) => line.id).join(", "),
      small.reduce((sum, line) => sum + line.bytes, 0),
      "",
    );
  step("resident (RSS)", "pages of the last scan", rss, null, true);
  addContainer(process, rss, step);
  return steps;
}

// Only with a limit: the rest of a whole machine means nothing.
function addContainer(
  process: Process,
  rss: number,
  step: (name: string, says: string, amount: number, owner: string | null, sum?: boolean) => void,
) {
  const beside = (id: string) => process.beside_rss.find((each) => each.id === id)?.bytes;
  const usage = beside("cgroup_usage"),
    limit = beside("cgroup_limit");
  if (usage == null || limit == null) return;
  step(
    usage >= rss ? "others in its cgroup" : "of RSS, counted elsewhere",
    "page cache, kernel memory and other processes of the cgroup; pages shared with others are counted where they came first",
    usage - rss,
    "file.shared",
  );
  step("used of the limit", "memory of the cgroup", usage, null, true);
  step("free below the limit", "until the kernel reclaims, and then kills", limit - usage, "");
  step("limit", "of the cgroup", limit, null, true);
}

const NO_PROFILE: Record<string, string> = {
  not_go: "",
  off_in_binary: "No heap profile: profiling is not linked into this program.",
  unreadable: "No heap profile: it could not be read.",
  not_read: "No heap profile was read.",
};

export function waterfallTable(process: Process): HTMLElement {
  const steps = waterfall(process),
    rss = process.rss.bytes ?? 0,
    { source } = process.heap_profile;
  const why = process.heap_profile.inuse_bytes == null ? (NO_PROFILE[source] ?? "") : "";
  let at = 0,
    most = 1;
  const spans = steps.map((each) => {
    const from = each.sum ? 0 : Math.min(at, at + each.bytes),
      to = each.sum ? each.bytes : Math.max(at, at + each.bytes);
    at = each.sum ? each.bytes : at + each.bytes;
    most = Math.max(most, to);
    return { from, to };
  });
  return el(
    "table",
    { class: "waterfall" },
    el(
      "caption",
      {},
      process.heap_profile.inuse_bytes == null ? `What RSS is made of. ${why}`.trim() : "From the heap profile to RSS",
    ),
    el(
      "tbody",
      {},
      ...steps.map((each, index) => {
        const { from, to } = spans[index]!;
        const bar = el("span", {
          class: each.sum ? "bar sum" : "bar",
          "left%": (100 * from) / most,
          "width%": Math.max(0.3, (100 * (to - from)) / most),
          "--colour": each.owner ? ownerColour(each.owner) : null,
        });
        return el(
          "tr",
          { class: each.sum ? "sum" : null, title: each.says },
          el("th", { scope: "row" }, each.name),
          el("td", { class: "track" }, bar),
          el(
            "td",
            { class: "number" },
            figure(each.bytes, (each.sum ? "" : each.bytes < 0 ? "" : "+") + bytes(each.bytes)),
          ),
          el(
            "td",
            { class: "number quiet" },
            each.name === "limit" || each.bytes < 0 ? "" : share(each.bytes / Math.max(1, rss)),
          ),
        );
      }),
    ),
  );
}
