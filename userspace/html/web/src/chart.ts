// SPDX-License-Identifier: Apache-2.0
// What all charts share: quiet axes in the page's own type, UTC, bytes in round steps; and the line of text below a chart that says
// what stands under the cursor.
import type uPlot from "uplot";
import { themed } from "./colour";
import { el } from "./dom";
import { bytes, currentUnit } from "./format";

const FONT = () => `11px ${themed("--sans")}`;

export function axes(): uPlot.Axis {
  return { stroke: themed("--quiet"), font: FONT(), grid: { show: false }, ticks: { show: true, stroke: themed("--line"), width: 1, size: 4 }, gap: 4, size: 28, space: 70,
    values: [[3600, "{HH}:{mm}", null, null, null, null, null, null, 1], [60, "{HH}:{mm}", null, null, null, null, null, null, 1], [1, "{HH}:{mm}:{ss}", null, null, null, null, null, null, 1], [0.001, "{ss}.{fff}", null, null, null, null, null, null, 1]] };
}

// Splits at 1, 2 or 5 of a unit, so that no label is a fraction.
export function bytesSplits(from: number, to: number, most: number): number[] {
  const step = currentUnit() === "binary" ? 1024 : 1000, least = Math.max(1, (to - from) / Math.max(1, most));
  let each = least;
  search: for (let unit = 1; ; unit *= step)
    for (const factor of [1, 2, 5, 10, 20, 50, 100, 200, 500])
      if (unit * factor >= least) { each = unit * factor; break search; }
  const out = [];
  for (let at = Math.ceil(from / each) * each; at <= to; at += each) out.push(at);
  return out;
}

export function bytesAxis(suffix = ""): uPlot.Axis {
  return { stroke: themed("--quiet"), font: FONT(), size: 74, gap: 6, grid: { stroke: themed("--grid"), width: 1 }, ticks: { show: false },
    splits: (_, __, from, to) => bytesSplits(from, to, 5),
    values: (_, splits) => splits.map((value) => (value === 0 ? "0" : bytes(value).replace(/\.0 /, " ") + suffix)) };
}

// [colour or "", text] beside each other.
export function readout() {
  const element = el("p", { class: "readout" });
  return {
    element,
    set(head: string, parts: [string, string][]) {
      element.replaceChildren(head ? el("strong", {}, head) : "", ...parts.map(([colour, text]) => el("span", {}, colour ? el("i", { class: "dot", "--colour": colour }) : null, text)));
    },
  };
}
