// SPDX-License-Identifier: Apache-2.0
// RSS over time, stacked by owner, with what happened; a click chooses a moment, a drag an interval.
import type uPlot from "uplot";
import type { Event, Point, Process } from "./answer";
import { areas, Chart, legend, line, nearest, type Drawing, type Layer } from "./chart";
import { ownerColour, themed } from "./colour";
import { bytes, clock, time } from "./format";

export interface Selection {
  from: number | null;
  to: number;
} // seconds; from is null for one moment
const MOST_OWNERS = 10,
  LEAST = 0.004, // of the largest
  LANE = 14, // pixels above the chart, for what happened
  NEAR = 6;

interface Stacked {
  times: number[];
  rss: (number | null)[];
  layers: Layer[];
}

// Owners by their largest; what is beyond MOST_OWNERS, and small, is one layer.
function stackedOf(points: Point[]): Stacked {
  const dated = points.filter((point) => point.t);
  const peaks = new Map<string, number>();
  for (const point of dated)
    for (const [id, amount] of Object.entries(point.ledger)) peaks.set(id, Math.max(peaks.get(id) ?? 0, amount));
  const ids = [...peaks.keys()].sort((a, b) => peaks.get(b)! - peaks.get(a)!);
  const largest = peaks.get(ids[0] ?? "") ?? 0;
  const own = ids.filter((id, index) => index < MOST_OWNERS && peaks.get(id)! >= LEAST * largest);
  const rest = ids.slice(own.length);
  // Null between scans.
  const layer = (id: string, amount: (point: Point) => number): Layer => ({
    id,
    colour: ownerColour(id),
    values: dated.map((point) => (Object.keys(point.ledger).length > 0 ? amount(point) : null)),
  });
  const layers = own.map((id) => layer(id, (point) => point.ledger[id] ?? 0));
  if (rest.length)
    layers.push(layer(`${rest.length} smaller`, (point) => rest.reduce((sum, id) => sum + (point.ledger[id] ?? 0), 0)));
  return { times: dated.map((point) => time(point.t!)), rss: dated.map((point) => point.rss_bytes), layers };
}

const MARKS: Record<string, { colour: string; glyph: string }> = {
  gc: { colour: "--quiet", glyph: "tick" },
  step: { colour: "--accent", glyph: "dot" },
  released: { colour: "--good", glyph: "down" },
  oom: { colour: "--bad", glyph: "line" },
  limit: { colour: "--bad", glyph: "line" },
  exec: { colour: "--ink", glyph: "line" },
  fork: { colour: "--quiet", glyph: "dot" },
};

function drawMarks(plot: uPlot, events: Event[]) {
  const draw = plot.ctx,
    ratio = devicePixelRatio,
    top = plot.bbox.top - LANE * ratio;
  draw.save();
  for (const event of events) {
    if (!event.t) continue;
    const x = plot.valToPos(time(event.t), "x", true),
      mark = MARKS[event.what] ?? MARKS["fork"]!,
      middle = top + (LANE * ratio) / 2,
      size = 3.5 * ratio;
    if (x < plot.bbox.left || x > plot.bbox.left + plot.bbox.width) continue;
    draw.strokeStyle = draw.fillStyle = themed(mark.colour);
    draw.lineWidth = ratio;
    draw.beginPath();
    if (mark.glyph === "tick") {
      draw.moveTo(x, middle - size);
      draw.lineTo(x, middle + size);
      draw.stroke();
      continue;
    }
    if (mark.glyph === "line") {
      draw.moveTo(x, top);
      draw.lineTo(x, plot.bbox.top + plot.bbox.height);
      draw.stroke();
      continue;
    }
    if (mark.glyph === "dot") draw.arc(x, middle, size * 0.8, 0, 7);
    else {
      draw.moveTo(x - size, middle - size);
      draw.lineTo(x + size, middle - size);
      draw.lineTo(x, middle + size);
    }
    draw.fill();
  }
  draw.restore();
}

const EVENT_NAMES: Record<string, string> = {
  gc: "| collection",
  step: "● step of RSS",
  released: "▼ given back",
  oom: "│ out of memory",
  exec: "│ exec",
};

export class Timeline extends Chart {
  private readonly data: Stacked;

  constructor(
    private readonly process: Process,
    private readonly select: (selection: Selection) => void,
  ) {
    const data = stackedOf(process.timeline);
    const kinds = [...new Set(process.events.map((event) => event.what))].filter((kind) => EVENT_NAMES[kind]);
    super(
      230,
      "RSS over time, stacked by owner; the table of owners below has its end",
      legend([
        ...data.layers.map((each): [string, string] => [each.colour, each.id]),
        ...kinds.map((kind): [string, string] => ["", EVENT_NAMES[kind]!]),
      ]),
    );
    this.data = data;
  }

  override draw() {
    super.draw();
    let down = 0;
    this.plot?.over.addEventListener("mousedown", (event) => {
      down = event.clientX;
    });
    this.plot?.over.addEventListener("click", (event) => {
      if (Math.abs(event.clientX - down) > 4) return;
      this.select({ from: null, to: this.plot!.posToVal(event.offsetX, "x") });
    });
  }

  protected override drawing(): Drawing | string {
    const { times, rss, layers } = this.data;
    if (!times.length) return "No moment of this process has a time.";
    const stacked = areas(layers);
    const chosen = (plot: uPlot) => {
      const { left, width } = plot.select;
      if (width > 4) this.select({ from: plot.posToVal(left, "x"), to: plot.posToVal(left + width, "x") });
    };
    return {
      times,
      series: [...stacked.series, line("RSS", themed("--ink"), false)],
      data: [...stacked.data, rss],
      more: {
        padding: [LANE + 6, 8, 0, 0],
        cursor: { y: false, drag: { x: true, y: false, setScale: false }, points: { show: false } },
        hooks: { draw: [(plot) => drawMarks(plot, this.process.events)], setSelect: [chosen] },
      },
    };
  }

  // Of the nearest scan, and what happened close by.
  protected override tell(at: number | null) {
    const { times, rss, layers } = this.data;
    if (at == null) {
      this.says.set("", [["", "Click for a moment, drag for an interval: the stacks below follow."]]);
      return;
    }
    const scan = nearest(times, at, (index) => layers[0]?.values[index] != null),
      point = nearest(times, at),
      width = Math.max(0.3, (times.at(-1)! - times[0]!) / 100);
    const events = this.process.events.filter((event) => event.t && Math.abs(time(event.t) - at) < width);
    const heaviest = layers
      .map((each) => ({ ...each, value: each.values[scan] ?? 0 }))
      .filter((each) => each.value > 0)
      .sort((a, b) => b.value - a.value)
      .slice(0, NEAR);
    this.says.set(`${clock(times[point]!)} UTC`, [
      ["", `RSS ${bytes(rss[point])}`],
      ...heaviest.map((each): [string, string] => [each.colour, `${each.id} ${bytes(each.value)}`]),
      ...events.slice(0, 2).map((event): [string, string] => ["", event.text]),
    ]);
  }
}
