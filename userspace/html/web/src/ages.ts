// SPDX-License-Identifier: Apache-2.0
// Page retention: for how long the resident bytes have been resident, over time, and of each owner at the end. Memory that is
// kept grows old; memory that is used and given back stays young.
import type { Ages, LedgerLine, Point, Process } from "./answer";
import { areas, Chart, legend, nearest, type Drawing, type Layer } from "./chart";
import { themed } from "./colour";
import { el, table, type Child } from "./dom";
import { bytes, clock, time } from "./format";
import { amount, owner } from "./sections";

const LIMITS = ["10s", "60s", "600s", "3600s"] as const;
const OVER = ["over 10 s", "over 1 min", "over 10 min", "over 1 h"];
const SPANS = ["under 10 s", "10 s – 1 min", "1 – 10 min", "10 min – 1 h", "over 1 h"];
const colour = (span: number) => `var(--age${span})`;

// Bytes of each span, from the bytes older than its ends.
function bySpan(all: number, ages: Ages): number[] {
  const older = [all, ...LIMITS.map((limit) => ages[limit])];
  return older.map((value, index) => value - (older[index + 1] ?? 0));
}

class AgeChart extends Chart {
  private readonly points: (Point & { ages: Ages; t: string })[];

  constructor(process: Process) {
    super(
      150,
      "Resident bytes by age over time; the table below has them by owner",
      legend(SPANS.map((name, span) => [colour(span), name])),
    );
    this.points = process.timeline.filter(
      (point): point is Point & { ages: Ages; t: string } => !!point.ages && !!point.t,
    );
  }
  protected override drawing(): Drawing | string {
    if (this.points.length < 2) return "It takes two scans to see pages grow old.";
    const parts = this.points.map((point) => bySpan(point.rss_bytes, point.ages));
    // The oldest at the bottom.
    const layers: Layer[] = SPANS.map((id, span) => ({
      id,
      colour: themed(`--age${span}`),
      values: parts.map((each) => each[span]!),
    })).reverse();
    return { times: this.points.map((point) => time(point.t)), ...areas(layers) };
  }
  protected override tell(at: number | null) {
    if (at == null) {
      this.says.set("", []);
      return;
    }
    const point =
      this.points[
        nearest(
          this.points.map((each) => time(each.t)),
          at,
        )
      ]!;
    this.says.set(
      `${clock(time(point.t))} UTC`,
      bySpan(point.rss_bytes, point.ages)
        .map((part, span): [string, string] => [colour(span), `${SPANS[span]} ${bytes(part)}`])
        .reverse(),
    );
  }
}

function ageBar(line: LedgerLine): HTMLElement {
  return el(
    "span",
    { class: "ages" },
    ...bySpan(line.bytes, line.ages!).map((part, span) =>
      part > 0
        ? el("i", {
            "--colour": colour(span),
            "width%": (100 * part) / Math.max(1, line.bytes),
            title: `${SPANS[span]}: ${bytes(part)}`,
          })
        : null,
    ),
  );
}

export function ages(process: Process): { element: HTMLElement; chart: Chart } {
  const chart = new AgeChart(process),
    aged = process.ledger.filter((line) => line.ages),
    parted = process.ledger.filter((line) => !line.ages);
  const element = el(
    "div",
    {},
    chart.element,
    table<LedgerLine>(
      "How long the pages of each owner have been resident, at the last scan",
      [
        { name: "owner", cell: (line) => owner(line.id), sort: (line) => line.id },
        { name: "bytes", number: true, cell: (line) => amount(line.bytes), sort: (line) => line.bytes },
        { name: "by age", cell: ageBar, wide: true },
        ...LIMITS.map((limit, index) => ({
          name: OVER[index]!,
          number: true,
          cell: (line: LedgerLine): Child => (line.ages![limit] ? amount(line.ages![limit]) : ""),
          sort: (line: LedgerLine) => line.ages![limit],
        })),
      ],
      aged,
    ),
    parted.length
      ? el(
          "p",
          { class: "quiet" },
          `Parts of pages have no age: ${parted.map((line) => `${line.id} ${bytes(line.bytes)}`).join(", ")}.`,
        )
      : null,
  );
  return { element, chart };
}
