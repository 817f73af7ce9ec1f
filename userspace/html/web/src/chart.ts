// SPDX-License-Identifier: Apache-2.0
// What all charts share: quiet axes in the page's own type, UTC, bytes in round steps, areas on top of each other; and the line of
// text below a chart that describes what is under the cursor. Each chart is a subclass.
import uPlot from "uplot";
import { themed } from "./colour";
import { el } from "./dom";
import { bytes, currentUnit } from "./format";

const FONT = () => `11px ${themed("--sans")}`;

function timeAxis(): uPlot.Axis {
  return {
    stroke: themed("--quiet"),
    font: FONT(),
    grid: { show: false },
    ticks: { show: true, stroke: themed("--line"), width: 1, size: 4 },
    gap: 4,
    size: 28,
    space: 70,
    values: [
      [3600, "{HH}:{mm}", null, null, null, null, null, null, 1],
      [60, "{HH}:{mm}", null, null, null, null, null, null, 1],
      [1, "{HH}:{mm}:{ss}", null, null, null, null, null, null, 1],
      [0.001, "{ss}.{fff}", null, null, null, null, null, null, 1],
    ],
  };
}

// Splits at 1, 2 or 5 of a unit, so that no label is a fraction.
export function bytesSplits(from: number, to: number, most: number): number[] {
  const step = currentUnit() === "binary" ? 1024 : 1000,
    least = Math.max(1, (to - from) / Math.max(1, most));
  let each = least;
  search: for (let unit = 1; ; unit *= step)
    for (const factor of [1, 2, 5, 10, 20, 50, 100, 200, 500])
      if (unit * factor >= least) {
        each = unit * factor;
        break search;
      }
  const out = [];
  for (let at = Math.ceil(from / each) * each; at <= to; at += each) out.push(at);
  return out;
}

function bytesAxis(suffix = ""): uPlot.Axis {
  return {
    stroke: themed("--quiet"),
    font: FONT(),
    size: 74,
    gap: 6,
    grid: { stroke: themed("--grid"), width: 1 },
    ticks: { show: false },
    splits: (_, __, from, to) => bytesSplits(from, to, 5),
    values: (_, splits) => splits.map((value) => (value === 0 ? "0" : bytes(value).replace(/\.0 /, " ") + suffix)),
  };
}

// For readers who do not see the canvas: what it is, and where the same is as a table.
const describe = (plot: uPlot, says: string) => {
  plot.ctx.canvas.setAttribute("role", "img");
  plot.ctx.canvas.setAttribute("aria-label", says);
};

// [colour or "", text] beside each other.
function readout() {
  const element = el("p", { class: "readout" });
  return {
    element,
    set(head: string, parts: [string, string][]) {
      element.replaceChildren(
        head ? el("strong", {}, head) : "",
        ...parts.map(([colour, text]) =>
          el("span", {}, colour ? el("i", { class: "dot", "--colour": colour }) : null, text),
        ),
      );
    },
  };
}

export interface Layer {
  id: string;
  colour: string;
  values: (number | null)[];
}
// Areas on top of each other: each is drawn down to 0, the sum of all first, so that the lower ones cover it.
export function areas(layers: Layer[]): { series: uPlot.Series[]; data: (number | null)[][] } {
  const sums: (number | null)[][] = [];
  for (const [index, each] of layers.entries())
    sums.push(each.values.map((value, i) => (value == null ? null : value + (index ? sums[index - 1]![i]! : 0))));
  const order = layers.map((_, index) => layers.length - 1 - index);
  return {
    series: order.map((index) => ({
      label: layers[index]!.id,
      stroke: layers[index]!.colour,
      fill: layers[index]!.colour,
      width: 0.5,
      spanGaps: true,
      points: { show: layers[index]!.values.length < 2 },
    })),
    data: order.map((index) => sums[index]!),
  };
}
export const line = (label: string, colour: string, points: boolean): uPlot.Series => ({
  label,
  stroke: colour,
  width: 1.4,
  spanGaps: true,
  points: { show: points, size: 4 },
});
export const legend = (entries: [colour: string, name: string][]) =>
  el("ul", { class: "legend" }, ...entries.map(([colour, name]) => el("li", {}, dot(colour), name)));
export const dot = (colour: string) => (colour ? el("i", { class: "dot", "--colour": colour }) : null);

export interface Drawing {
  times: number[];
  series: uPlot.Series[];
  data: (number | null)[][];
  suffix?: string; // of the bytes: "/s"
  more?: Partial<uPlot.Options>;
}

export abstract class Chart {
  readonly element = el("div");
  protected readonly says = readout();
  protected plot: uPlot | null = null;
  private readonly holder = el("div", { class: "chart" });

  constructor(
    private readonly height: number,
    private readonly label: string, // for readers who do not see it
    names: HTMLElement,
  ) {
    this.element.append(names, this.holder, this.says.element);
    new ResizeObserver(() => {
      if (this.plot && this.holder.clientWidth > 0 && this.plot.width !== this.holder.clientWidth)
        this.plot.setSize({ width: this.holder.clientWidth, height });
    }).observe(this.holder);
  }

  // A sentence if there is nothing to draw.
  protected abstract drawing(): Drawing | string;
  // The values at this time, or null when the cursor is elsewhere.
  protected abstract tell(at: number | null): void;

  draw() {
    this.plot?.destroy();
    const drawing = this.drawing();
    if (typeof drawing === "string") {
      this.holder.replaceChildren(el("p", { class: "quiet" }, drawing));
      return;
    }
    const { times, series, data, suffix, more } = drawing;
    const { hooks, ...rest } = more ?? {};
    this.plot = new uPlot(
      {
        width: Math.max(200, this.holder.clientWidth),
        height: this.height,
        padding: [8, 8, 0, 0],
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
        scales: {
          x: { time: true, range: (_, from, to) => (from === to ? [from - 1, to + 1] : [from, to]) },
          y: { range: (_, __, most) => [0, Math.max(1, most ?? 1) * 1.04] },
        },
        series: [{}, ...series],
        axes: [timeAxis(), bytesAxis(suffix)],
        tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC"),
        drawOrder: ["series", "axes"] as uPlot.DrawOrderKey[], // the grid is over the fills
        ...rest,
        hooks: {
          ...hooks,
          setCursor: [
            ({ cursor, posToVal }) =>
              this.tell(cursor.left == null || cursor.left < 0 ? null : posToVal(cursor.left, "x")),
          ],
        },
      },
      [times, ...data] as uPlot.AlignedData,
      this.holder,
    );
    describe(this.plot, this.label);
    this.tell(null);
  }
}

// The index of the nearest of `times`, among those for which there is something.
export function nearest(times: number[], at: number, has: (index: number) => boolean = () => true): number {
  let best = -1;
  for (let index = 0; index < times.length; ++index)
    if (has(index) && (best < 0 || Math.abs(times[index]! - at) < Math.abs(times[best]! - at))) best = index;
  return best;
}
