// SPDX-License-Identifier: Apache-2.0
// How fast pages come and go, and what a Go program allocates: two lines over time.
import type { Process } from "./answer";
import { Chart, legend, line, nearest, type Drawing } from "./chart";
import { themed } from "./colour";
import { bytes, clock, time } from "./format";

interface Rates {
  times: number[];
  arrived: (number | null)[];
  left: (number | null)[];
  allocated: (number | null)[];
}
const sum = (amounts: Record<string, number>) => Object.values(amounts).reduce((all, each) => all + each, 0);

// Bytes a second since the scan before; of the Go heap since the reading before.
function ratesOf(process: Process): Rates {
  const out: Rates = { times: [], arrived: [], left: [], allocated: [] };
  let before: number | null = null;
  for (const point of process.timeline) {
    if (!point.t) continue;
    const at = time(point.t),
      scanned = Object.keys(point.ledger).length > 0,
      allocation = point.go?.allocation;
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

const LINES = [
  { of: "arrived", colour: "--warm", name: "pages that arrived" },
  { of: "left", colour: "--cool", name: "pages that left" },
  { of: "allocated", colour: "--accent", name: "allocated by Go" },
] as const;

export class RateChart extends Chart {
  private readonly rates: Rates;

  constructor(process: Process) {
    const rates = ratesOf(process);
    super(
      160,
      "Bytes a second that arrived and left over time; the table of owners has them by owner",
      legend(
        LINES.filter((each) => rates[each.of].some((value) => value != null)).map((each) => [
          `var(${each.colour})`,
          each.name,
        ]),
      ),
    );
    this.rates = rates;
  }
  protected override drawing(): Drawing | string {
    const { times } = this.rates;
    if (times.length < 2) return "It takes two scans to see pages come and go.";
    return {
      times,
      series: LINES.map((each) => line(each.name, themed(each.colour), times.length < 40)),
      data: LINES.map((each) => this.rates[each.of]),
      suffix: "/s",
    };
  }
  protected override tell(at: number | null) {
    const parts: [string, string][] = [];
    if (at == null) {
      this.says.set("", parts);
      return;
    }
    const index = nearest(this.rates.times, at);
    for (const each of LINES) {
      const value = this.rates[each.of][index];
      if (value != null) parts.push([`var(${each.colour})`, `${each.name} ${bytes(Math.round(value))}/s`]);
    }
    this.says.set(`${clock(this.rates.times[index]!)} UTC`, parts);
  }
}
