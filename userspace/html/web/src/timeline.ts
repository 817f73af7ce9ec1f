// SPDX-License-Identifier: Apache-2.0
// RSS over time, stacked by owner, with what happened; a click chooses a moment, a drag an interval.
import uPlot from "uplot";
import type { Event, Point, Process } from "./answer";
import { axes, bytesAxis, readout } from "./chart";
import { ownerColour, themed } from "./colour";
import { el } from "./dom";
import { bytes, clock, time } from "./format";

export interface Selection { from: number | null; to: number }  // seconds; from is null for one moment
const MOST_OWNERS = 10, LANE = 14, NEAR = 6;

interface Series { id: string; values: (number | null)[] }
export interface Stacked { times: number[]; rss: (number | null)[]; series: Series[]; stacked: (number | null)[][] }

// Owners by their largest; what is beyond MOST_OWNERS, and small, is one series. `stacked[i]` is the sum of series 0 to i.
export function stackedOf(points: Point[]): Stacked {
  const dated = points.filter((point) => point.t);
  const peaks = new Map<string, number>();
  for (const point of dated) for (const [id, amount] of Object.entries(point.ledger)) peaks.set(id, Math.max(peaks.get(id) ?? 0, amount));
  const ids = [...peaks.keys()].sort((a, b) => peaks.get(b)! - peaks.get(a)!);
  const largest = peaks.get(ids[0] ?? "") ?? 0;
  const own = ids.filter((id, index) => index < MOST_OWNERS && peaks.get(id)! >= 0.004 * largest), rest = ids.slice(own.length);
  const scanned = (point: Point) => Object.keys(point.ledger).length > 0;
  const series: Series[] = own.map((id) => ({ id, values: dated.map((point) => (scanned(point) ? (point.ledger[id] ?? 0) : null)) }));
  if (rest.length) series.push({ id: `${rest.length} smaller`, values: dated.map((point) => (scanned(point) ? rest.reduce((sum, id) => sum + (point.ledger[id] ?? 0), 0) : null)) });
  const stacked: (number | null)[][] = [];
  for (const [index, each] of series.entries()) stacked.push(each.values.map((value, i) => (value == null ? null : value + (index ? stacked[index - 1]![i]! : 0))));
  return { times: dated.map((point) => time(point.t!)), rss: dated.map((point) => point.rss_bytes), series, stacked };
}

const MARKS: Record<string, { colour: string; glyph: string }> = {
  gc: { colour: "--quiet", glyph: "tick" }, step: { colour: "--accent", glyph: "up" }, released: { colour: "--good", glyph: "down" },
  oom: { colour: "--bad", glyph: "line" }, limit: { colour: "--bad", glyph: "line" }, exec: { colour: "--ink", glyph: "line" }, fork: { colour: "--quiet", glyph: "dot" },
};

function drawMarks(plot: uPlot, events: Event[]) {
  const draw = plot.ctx, ratio = devicePixelRatio, top = plot.bbox.top - LANE * ratio;
  draw.save();
  for (const event of events) {
    if (!event.t) continue;
    const x = plot.valToPos(time(event.t), "x", true), mark = MARKS[event.what] ?? MARKS["fork"]!, middle = top + (LANE * ratio) / 2, size = 3.5 * ratio;
    if (x < plot.bbox.left || x > plot.bbox.left + plot.bbox.width) continue;
    draw.strokeStyle = draw.fillStyle = themed(mark.colour);
    draw.lineWidth = ratio;
    draw.beginPath();
    if (mark.glyph === "tick") { draw.moveTo(x, middle - size); draw.lineTo(x, middle + size); draw.stroke(); continue; }
    if (mark.glyph === "line") { draw.moveTo(x, top); draw.lineTo(x, plot.bbox.top + plot.bbox.height); draw.stroke(); continue; }
    const up = mark.glyph === "up" ? -1 : 1;
    if (mark.glyph === "dot") draw.arc(x, middle, size / 2, 0, 7);
    else { draw.moveTo(x - size, middle - up * size); draw.lineTo(x + size, middle - up * size); draw.lineTo(x, middle + up * size); }
    draw.fill();
  }
  draw.restore();
}

export class Timeline {
  readonly element: HTMLElement;
  private readonly holder = el("div", { class: "chart" });
  private readonly says = readout();
  private plot: uPlot | null = null;
  private readonly data: Stacked;

  constructor(private readonly process: Process, private readonly select: (selection: Selection) => void) {
    this.data = stackedOf(process.timeline);
    this.element = el("div", {}, this.legend(), this.holder, this.says.element);
    new ResizeObserver(() => this.resize()).observe(this.holder);
  }

  private legend(): HTMLElement {
    const kinds = new Set(this.process.events.map((event) => event.what));
    const names: Record<string, string> = { gc: "| collection", step: "▲ RSS rose", released: "▼ given back", oom: "out of memory", exec: "exec" };
    return el("ul", { class: "legend", "aria-label": "owners" },
      ...this.data.series.map((each) => el("li", {}, el("i", { class: "dot", "--colour": ownerColour(each.id) }), each.id)),
      ...[...kinds].filter((kind) => names[kind]).map((kind) => el("li", { class: "event" }, names[kind])));
  }

  draw() {
    this.plot?.destroy();
    const { times, rss, series, stacked } = this.data;
    if (!times.length) { this.holder.replaceChildren(el("p", { class: "quiet" }, "No moment of this process has a time.")); return; }
    const order = series.map((_, index) => series.length - 1 - index);  // the sum of all first: the lower ones are drawn over it
    this.plot = new uPlot({
      width: Math.max(200, this.holder.clientWidth), height: 230,
      padding: [LANE + 6, 8, 0, 0],
      legend: { show: false }, cursor: { y: false, drag: { x: true, y: false, setScale: false }, points: { show: false } },
      scales: { x: { time: true, range: (_, from, to) => (from === to ? [from - 1, to + 1] : [from, to]) }, y: { range: (_, __, most) => [0, Math.max(1, most) * 1.04] } },
      series: [{}, ...order.map((index) => ({
        label: series[index]!.id, stroke: ownerColour(series[index]!.id), width: 0.5, fill: ownerColour(series[index]!.id), spanGaps: true, points: { show: times.length < 2 },
      })), { label: "RSS", stroke: themed("--ink"), width: 1.25, spanGaps: true, points: { show: false } }],
      axes: [axes(), bytesAxis()],
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC"),
      drawOrder: ["series", "axes"] as uPlot.DrawOrderKey[],  // the grid is over the fills
      hooks: {
        draw: [(plot) => drawMarks(plot, this.process.events)],
        setCursor: [(plot) => this.tell(plot.cursor.left == null || plot.cursor.left < 0 ? null : plot.posToVal(plot.cursor.left, "x"))],
        setSelect: [(plot) => { if (plot.select.width > 4) this.select({ from: plot.posToVal(plot.select.left, "x"), to: plot.posToVal(plot.select.left + plot.select.width, "x") }); }],
      },
    }, [times, ...order.map((index) => stacked[index]!), rss], this.holder);
    let down = 0;
    this.plot.over.addEventListener("mousedown", (event) => { down = event.clientX; });
    this.plot.over.addEventListener("click", (event) => {
      if (Math.abs(event.clientX - down) > 4) return;
      this.select({ from: null, to: this.plot!.posToVal(event.offsetX, "x") });
    });
    this.tell(null);
  }
  private resize() {
    if (this.plot && this.holder.clientWidth > 0 && this.plot.width !== this.holder.clientWidth) this.plot.setSize({ width: this.holder.clientWidth, height: 230 });
  }
  clear() { this.plot?.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false); }

  // What stands under the cursor: of the nearest scan, and what happened close by.
  private tell(at: number | null) {
    const { times, rss, series } = this.data;
    const scans = times.map((_, index) => index).filter((index) => series[0]?.values[index] != null);
    const nearest = (indexes: number[], to: number) => indexes.reduce((best, index) => (Math.abs(times[index]! - to) < Math.abs(times[best]! - to) ? index : best), indexes[0] ?? 0);
    if (at == null) { this.says.set("", [["", "Click for a moment, drag for an interval: the stacks below follow."]]); return; }
    const scan = nearest(scans, at), point = nearest(times.map((_, index) => index), at);
    const width = (times.at(-1)! - times[0]!) / 100;
    const events = this.process.events.filter((event) => event.t && Math.abs(time(event.t) - at) < Math.max(width, 0.3)).slice(0, 2);
    const heaviest = series.map((each) => ({ id: each.id, value: each.values[scan] ?? 0 })).filter((each) => each.value > 0).sort((a, b) => b.value - a.value).slice(0, NEAR);
    this.says.set(`${clock(times[point]!)} UTC`, [["", `RSS ${bytes(rss[point])}`], ...heaviest.map((each): [string, string] => [ownerColour(each.id), `${each.id} ${bytes(each.value)}`]), ...events.map((event): [string, string] => ["", event.text])]);
  }
}
