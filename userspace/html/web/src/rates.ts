// SPDX-License-Identifier: Apache-2.0
// How fast pages come and go, and what a Go program allocates: two lines over time.
import uPlot from "uplot";
import type { Process } from "./answer";
import { axes, bytesAxis, readout } from "./chart";
import { themed } from "./colour";
import { el } from "./dom";
import { bytes, clock, time } from "./format";

interface Rates { times: number[]; arrived: (number | null)[]; left: (number | null)[]; allocated: (number | null)[] }
const sum = (amounts: Record<string, number>) => Object.values(amounts).reduce((all, each) => all + each, 0);

// Bytes a second since the scan before; of the Go heap since the reading before.
export function ratesOf(process: Process): Rates {
  const out: Rates = { times: [], arrived: [], left: [], allocated: [] };
  let before: number | null = null;
  for (const point of process.timeline) {
    if (!point.t) continue;
    const at = time(point.t), scanned = Object.keys(point.ledger).length > 0, allocation = point.go?.allocation;
    if (!scanned && !allocation) continue;
    const since = before != null && scanned ? at - before : 0;
    out.times.push(at);
    out.arrived.push(since > 0 ? sum(point.arrived) / since : null);
    out.left.push(since > 0 ? sum(point.left) / since : null);
    out.allocated.push(allocation ? allocation.bytes_per_s : null);
    if (scanned) before = at;
  }
  return out;
}

export class RateChart {
  readonly element: HTMLElement;
  private readonly holder = el("div", { class: "chart" });
  private readonly says = readout();
  private plot: uPlot | null = null;
  private readonly rates: Rates;

  constructor(process: Process) {
    this.rates = ratesOf(process);
    const names: [string, string][] = [["--warm", "pages that arrived"], ["--cool", "pages that left"]];
    if (this.rates.allocated.some((value) => value != null)) names.push(["--accent", "allocated by Go"]);
    this.element = el("div", {}, el("ul", { class: "legend" }, ...names.map(([colour, name]) => el("li", {}, el("i", { class: "dot", "--colour": `var(${colour})` }), name))), this.holder, this.says.element);
    new ResizeObserver(() => { if (this.plot && this.holder.clientWidth > 0) this.plot.setSize({ width: this.holder.clientWidth, height: 160 }); }).observe(this.holder);
  }
  draw() {
    this.plot?.destroy();
    const { times, arrived, left, allocated } = this.rates;
    if (times.length < 2) { this.holder.replaceChildren(el("p", { class: "quiet" }, "It takes two scans to see pages come and go.")); return; }
    const line = (label: string, colour: string) => ({ label, stroke: themed(colour), width: 1.5, spanGaps: true, points: { show: times.length < 40, size: 4 } });
    this.plot = new uPlot({
      width: Math.max(200, this.holder.clientWidth), height: 160, padding: [8, 8, 0, 0], legend: { show: false }, cursor: { y: false, drag: { x: false, y: false } },
      scales: { x: { time: true }, y: { range: (_, __, most) => [0, Math.max(1, most ?? 1) * 1.06] } },
      series: [{}, line("arrived", "--warm"), line("left", "--cool"), line("allocated", "--accent")], axes: [axes(), bytesAxis("/s")],
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC"),
      hooks: { setCursor: [(plot) => this.tell(plot.cursor.idx ?? null)] },
    }, [times, arrived, left, allocated], this.holder);
    this.tell(null);
  }
  private tell(index: number | null) {
    const { times, arrived, left, allocated } = this.rates;
    if (index == null || times[index] == null) { this.says.set("", []); return; }
    const parts: [string, string][] = [];
    for (const [colour, name, values] of [["--warm", "arrived", arrived], ["--cool", "left", left], ["--accent", "allocated", allocated]] as const)
      if (values[index] != null) parts.push([`var(${colour})`, `${name} ${bytes(Math.round(values[index]!))}/s`]);
    this.says.set(`${clock(times[index]!)} UTC`, parts);
  }
}
