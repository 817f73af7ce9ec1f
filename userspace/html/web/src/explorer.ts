// SPDX-License-Identifier: Apache-2.0
// Where the bytes are: one data set at one moment, or its growth between two, as an icicle or a tree table.
import type { Attribution, MomentProcess, Moments, Process } from "./answer";
import { el, figure } from "./dom";
import { bytes, clock, signed, time } from "./format";
import { Icicle } from "./icicle";
import type { Selection } from "./timeline";
import {
  allocatedSamples,
  grown,
  heldSamples,
  inverted,
  keptSamples,
  matching,
  residentSamples,
  total,
  treeOf,
  withoutRuntime,
  type Sample,
} from "./tree";
import { treeTable } from "./treetable";

interface DataSet {
  id: string;
  name: string;
  says: string;
  read: (at: MomentProcess) => boolean; // else its samples are unknown, which is not none
  samples: (at: MomentProcess) => Sample[];
}
const DATA_SETS: readonly DataSet[] = [
  {
    id: "resident",
    name: "Resident pages",
    says: "each resident page, by its owner and by the stack that touched it first (or made its mapping)",
    read: (at) => at.scan_time != null,
    samples: residentSamples,
  },
  {
    id: "allocated",
    name: "Go heap by allocation",
    says: "bytes in use by the stack that allocated them, as Go's heap profile samples them: virtual, an estimate",
    read: (at) => !!at.allocated?.length,
    samples: allocatedSamples,
  },
  {
    id: "kept",
    name: "Kept by goroutines",
    says: "bytes that can be reached from the stacks of these goroutines alone; virtual",
    read: (at) => !!at.goroutines?.groups.some((group) => group.kept_bytes != null),
    samples: keptSamples,
  },
  {
    id: "held",
    name: "Holders",
    says: "objects of the Go heap by the one variable, group of goroutines or queue that they hang from, read as the recording ended; virtual",
    read: (at) => at.go?.held != null,
    samples: heldSamples,
  },
];

export class Explorer {
  readonly element: HTMLElement;
  filter = "";
  private set: DataSet = DATA_SETS[0]!;
  private view: "icicle" | "table" = "icicle";
  private upsideDown = false;
  private hide = false;
  private from: number | null = null; // indexes of `times`; from is null for one moment
  private to: number;
  private readonly times: number[];
  private readonly icicle = new Icicle();
  private readonly stage = el("div", { class: "stage" });
  private readonly head = el("p", { class: "summary", "aria-live": "polite" });
  private readonly controls = el("div", { class: "controls" });
  private last = 0; // the last request is the one that is shown

  constructor(
    readonly process: Process,
    private readonly moments: Moments,
  ) {
    const last = process.scan_time ? time(process.scan_time) : 0;
    this.times = [...moments.times.map((ms) => ms / 1000).filter((at) => at < last), last];
    this.to = this.times.length - 1;
    this.element = el("div", { class: "explorer" }, this.controls, this.head, this.stage);
  }

  // The moments nearest to what was chosen in the timeline.
  select(selection: Selection) {
    const nearest = (at: number) =>
      this.times.reduce(
        (best, each, index) => (Math.abs(each - at) < Math.abs(this.times[best]! - at) ? index : best),
        0,
      );
    this.to = nearest(selection.to);
    this.from = selection.from == null ? null : nearest(selection.from);
    if (this.from === this.to) this.from = null;
    void this.draw();
  }
  step(by: number) {
    this.from = null;
    this.to = Math.min(this.times.length - 1, Math.max(0, this.to + by));
    void this.draw();
  }
  invert() {
    this.upsideDown = !this.upsideDown;
    void this.draw();
  }
  switchView() {
    this.view = this.view === "icicle" ? "table" : "icicle";
    void this.draw();
  }
  hideRuntime() {
    this.hide = !this.hide;
    void this.draw();
  }
  zoomOut() {
    return this.view === "icicle" && this.icicle.zoomOut();
  }

  // An exec keeps the pid: the entry is this process if the scan is one of its own.
  private isOf({ pid, scan_time }: MomentProcess): boolean {
    const { timeline, scan_time: last } = this.process,
      first = timeline[0]?.t;
    if (pid !== this.process.pid || !scan_time || !first || !last) return false;
    return time(first) <= time(scan_time) && time(scan_time) <= time(last);
  }
  private async at(index: number): Promise<MomentProcess> {
    if (index === this.times.length - 1) return { ...this.process, rss_bytes: this.process.rss.bytes };
    const found = (await this.moments.at(index)).processes.find((each) => this.isOf(each));
    const nothing: Attribution = { frames: [], stacks: [], mappings: [], cells: [] };
    return found ?? { ...nothing, pid: this.process.pid, scan_time: null, rss_bytes: null, goroutines: null };
  }
  private samples(at: MomentProcess): Sample[] {
    const all = matching(this.set.samples(at), this.filter),
      shown = this.hide ? withoutRuntime(all) : all;
    return this.upsideDown ? inverted(shown) : shown;
  }

  async draw() {
    const asked = ++this.last;
    const now = await this.at(this.to),
      before = this.from == null ? null : await this.at(this.from);
    if (asked !== this.last) return;
    const unread = before && !this.set.read(before) ? this.from : this.set.read(now) ? null : this.to;
    let samples = this.samples(now),
      shrunk = 0;
    const whole = total(samples);
    if (unread != null) samples = [];
    else if (before) ({ samples, shrunk } = grown(this.samples(before), samples));
    const sum = total(samples),
      tree = treeOf(samples, before ? "grown" : "all");
    this.drawControls();
    if (unread != null) this.head.replaceChildren(`${this.set.name}: not read at ${this.when(unread)}.`);
    else this.tell(now, before, sum, shrunk, whole);
    if (!samples.length) this.stage.replaceChildren(this.nothing(unread != null));
    else if (this.view === "table") this.stage.replaceChildren(treeTable(tree));
    else {
      this.stage.replaceChildren(this.icicle.element);
      this.icicle.show(tree);
    }
  }
  private when(index: number) {
    return this.times[index] ? `${clock(this.times[index])} UTC` : "any time";
  }
  private nothing(unread: boolean) {
    const why =
      this.filter && !unread
        ? `Nothing here has “${this.filter}” in its name.`
        : this.from != null && !unread
          ? "Nothing grew between the two."
          : this.set.id === "kept"
            ? "No group of goroutines keeps memory of its own, or their stacks were not read."
            : this.set.id === "allocated"
              ? "There is no heap profile in this program, or it was not read."
              : this.set.id === "held"
                ? "What the heap hangs from is read once, as the recording ends, of Go programs whose tables are known."
                : "No page was attributed at this moment.";
    return el("p", { class: "quiet" }, why);
  }
  private tell(now: MomentProcess, before: MomentProcess | null, sum: number, shrunk: number, whole: number) {
    if (before) {
      this.head.replaceChildren(
        el("strong", {}, `${this.when(this.from!)} – ${this.when(this.to)}`),
        ": grown by ",
        figure(sum, bytes(sum)),
        ", shrunk by ",
        figure(shrunk, bytes(shrunk)),
        ", together ",
        figure(sum - shrunk, signed(sum - shrunk)),
        ". Only growth is drawn.",
      );
      return;
    }
    const last = this.to === this.times.length - 1,
      of =
        this.set.id === "resident" && now.rss_bytes != null && whole !== now.rss_bytes
          ? ` of ${bytes(now.rss_bytes)}`
          : "";
    this.head.replaceChildren(
      el("strong", {}, this.when(this.to)),
      last ? " (the last scan): " : ": ",
      figure(sum, bytes(sum)),
      `${of}, ${this.set.says}.`,
    );
  }

  private drawControls() {
    const toggle = (name: string, pressed: boolean, key: string, act: () => void) =>
      el("button", { type: "button", "aria-pressed": String(pressed), title: `key ${key}`, onclick: act }, name);
    const options = (chosen: number | null) =>
      this.times.map((at, index) =>
        el(
          "option",
          { value: index, selected: index === chosen },
          clock(at) + (index === this.times.length - 1 ? " last scan" : ""),
        ),
      );
    const moments =
      this.times.length > 1
        ? [
            el(
              "label",
              {},
              "from ",
              el(
                "select",
                {
                  "aria-label": "from",
                  onchange: (event: { target: HTMLSelectElement }) => {
                    this.from = event.target.value === "" ? null : Number(event.target.value);
                    void this.draw();
                  },
                },
                el("option", { value: "", selected: this.from == null }, "—"),
                ...options(this.from),
              ),
            ),
            el(
              "label",
              {},
              "at ",
              el(
                "select",
                {
                  "aria-label": "at",
                  onchange: (event: { target: HTMLSelectElement }) => {
                    this.to = Number(event.target.value);
                    void this.draw();
                  },
                },
                ...options(this.to),
              ),
            ),
          ]
        : [];
    const focused = document.activeElement,
      place =
        focused && this.controls.contains(focused)
          ? [...this.controls.querySelectorAll("button,select")].indexOf(focused)
          : -1;
    this.controls.replaceChildren(
      el(
        "div",
        { class: "segments", role: "group", "aria-label": "what" },
        ...DATA_SETS.filter((each) => this.process.go || each.id === "resident").map((each) =>
          el(
            "button",
            {
              type: "button",
              "aria-pressed": String(each === this.set),
              onclick: () => {
                this.set = each;
                void this.draw();
              },
            },
            each.name,
          ),
        ),
      ),
      el(
        "div",
        { class: "segments", role: "group", "aria-label": "how" },
        toggle("Icicle", this.view === "icicle", "v", () => {
          this.view = "icicle";
          void this.draw();
        }),
        toggle("Table", this.view === "table", "v", () => {
          this.view = "table";
          void this.draw();
        }),
      ),
      toggle("Inverted", this.upsideDown, "i", () => this.invert()),
      toggle("Hide runtime frames", this.hide, "r", () => this.hideRuntime()),
      ...moments,
    );
    if (place >= 0) ([...this.controls.querySelectorAll("button,select")][place] as HTMLElement | undefined)?.focus();
  }
}
