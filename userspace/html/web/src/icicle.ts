// SPDX-License-Identifier: Apache-2.0
// The icicle: a tree of bytes as rows of boxes on a canvas, the root on top, widths in proportion. A box that would be thinner
// than a pixel is left out; zooming into its parent shows it. The tree table beside it has the same for readers who cannot see it.
import { frameColour, ownerColour, themed } from "./colour";
import { el, printable } from "./dom";
import { bytes } from "./format";
import { says, type TreeNode } from "./tree";

const ROW = 21,
  GAP = 1,
  LEAST = 0.8;
interface Box {
  node: TreeNode;
  x: number;
  y: number;
  width: number;
}

export class Icicle {
  readonly element: HTMLElement;
  private readonly canvas = el("canvas", {
    tabindex: 0,
    role: "application",
    "aria-label":
      "Icicle of bytes by stack. Arrows move, Enter zooms in, Escape zooms out. The table view has the same.",
  });
  private readonly told = el("p", { class: "told", "aria-live": "polite" });
  private readonly tip = el("div", { class: "tip", hidden: true });
  private root: TreeNode | null = null;
  private focus: TreeNode | null = null;
  private chosen: TreeNode | null = null;
  private boxes: Box[] = [];

  constructor() {
    this.element = el("div", { class: "icicle" }, this.told, el("div", { class: "canvas" }, this.canvas, this.tip));
    this.canvas.addEventListener("mousemove", (event) => this.hover(event));
    this.canvas.addEventListener("mouseleave", () => {
      this.tip.hidden = true;
    });
    this.canvas.addEventListener("click", (event) => {
      const box = this.boxAt(event);
      if (box) this.zoom(box.node === this.focus ? (box.node.parent ?? box.node) : box.node);
    });
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(this.element);
  }

  show(root: TreeNode) {
    this.root = this.focus = this.chosen = root;
    this.draw();
  }
  zoomOut(): boolean {
    if (!this.focus?.parent) return false;
    this.zoom(this.focus.parent);
    return true;
  }
  private zoom(node: TreeNode) {
    this.focus = this.chosen = node;
    this.tip.hidden = true;
    this.draw();
  }

  draw() {
    const width = this.canvas.parentElement!.clientWidth;
    if (!this.root || !this.focus || width === 0) return;
    this.layout(width);
    const depth = this.boxes.reduce((most, box) => Math.max(most, box.y), 0) / ROW + 1;
    const height = Math.min(Math.max(depth, 3), 60) * ROW,
      ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.canvas.style.height = `${height}px`;
    const draw = this.canvas.getContext("2d")!;
    draw.setTransform(ratio, 0, 0, ratio, 0, 0);
    draw.font = `12px ${themed("--sans")}`;
    draw.textBaseline = "middle";
    for (const box of this.boxes) this.box(draw, box);
    this.tell(this.chosen ?? this.focus);
  }

  private layout(width: number) {
    this.boxes = [];
    const above: TreeNode[] = [];
    for (let node = this.focus!.parent; node; node = node.parent) above.unshift(node);
    above.forEach((node, row) => this.boxes.push({ node, x: 0, y: row * ROW, width }));
    const scale = width / Math.max(1, this.focus!.bytes);
    const place = (node: TreeNode, x: number, row: number) => {
      if (row >= 60) return;
      this.boxes.push({ node, x, y: row * ROW, width: node.bytes * scale });
      for (const child of node.children) {
        const wide = child.bytes * scale;
        if (wide < LEAST) break; // they are sorted
        place(child, x, row + 1);
        x += wide;
      }
    };
    place(this.focus!, 0, above.length);
  }

  private box(draw: CanvasRenderingContext2D, { node, x, y, width }: Box) {
    const root = node.parent === null,
      owner = node.parent?.parent === null;
    const colour = root
      ? { fill: themed("--raised"), ink: themed("--ink") }
      : owner
        ? { fill: ownerColour(node.owner), ink: "#fff" }
        : frameColour(node.owner, node.kind, node.name);
    draw.fillStyle = colour.fill;
    draw.fillRect(x, y, Math.max(width - GAP, 0.5), ROW - GAP);
    if (node === this.chosen && !root) {
      draw.strokeStyle = themed("--ink");
      draw.lineWidth = 1.5;
      draw.strokeRect(x + 1, y + 1, Math.max(width - GAP - 2, 0.5), ROW - GAP - 2);
    }
    if (width < 28) return;
    draw.save();
    draw.beginPath();
    draw.rect(x, y, width - GAP - 4, ROW);
    draw.clip();
    draw.fillStyle = colour.ink;
    const amount = bytes(node.bytes),
      name = printable(node.name);
    draw.fillText(name, x + 5, y + ROW / 2);
    const used = draw.measureText(name).width + 12;
    if (used + draw.measureText(amount).width + 8 < width) {
      draw.globalAlpha = 0.72;
      draw.fillText(amount, x + used, y + ROW / 2);
    }
    draw.restore();
  }

  private boxAt(event: MouseEvent): Box | undefined {
    const frame = this.canvas.getBoundingClientRect(),
      x = event.clientX - frame.left,
      y = event.clientY - frame.top;
    return this.boxes.find((box) => x >= box.x && x < box.x + box.width && y >= box.y && y < box.y + ROW);
  }
  private hover(event: MouseEvent) {
    const box = this.boxAt(event);
    this.tip.hidden = !box;
    this.canvas.style.cursor = box ? "pointer" : "default";
    if (!box) return;
    const { node } = box,
      whole = this.root!.bytes;
    this.tip.replaceChildren(
      el("strong", {}, node.name),
      el(
        "span",
        {},
        `${bytes(node.bytes)} · ${((100 * node.bytes) / Math.max(1, whole)).toFixed(1)} %${node.own && node.own !== node.bytes ? ` · itself ${bytes(node.own)}` : ""}`,
      ),
      node.where ? el("span", { class: "where" }, node.where) : (null as never),
      el("span", { class: "where" }, [node.owner, node.kind === "none" ? "" : node.kind].filter(Boolean).join(" · ")),
    );
    const frame = this.canvas.getBoundingClientRect(),
      wide = this.tip.offsetWidth;
    this.tip.style.left = `${Math.max(0, Math.min(event.clientX - frame.left + 12, frame.width - wide - 4))}px`;
    this.tip.style.top = `${event.clientY - frame.top + 18}px`;
  }
  private tell(node: TreeNode) {
    this.told.textContent = printable(says(node, this.root!.bytes) + (node.where ? ` · ${node.where}` : ""));
  }
  private key(event: KeyboardEvent) {
    const node = this.chosen ?? this.focus;
    if (!node) return;
    const siblings = node.parent?.children ?? [node],
      at = siblings.indexOf(node);
    const to: Record<string, TreeNode | null | undefined> = {
      ArrowDown: node.children[0],
      ArrowUp: node.parent,
      ArrowRight: siblings[at + 1],
      ArrowLeft: siblings[at - 1],
    };
    if (event.key in to) {
      this.chosen = to[event.key] ?? node;
      event.preventDefault();
      this.draw();
    } else if (event.key === "Enter") this.zoom(node);
    else if (event.key === "Escape" && this.zoomOut()) event.stopPropagation();
  }
}
