// SPDX-License-Identifier: Apache-2.0
// The same tree as a table with rows that open. Rows are made when their parent is opened, the heaviest first.
import { ownerColour } from "./colour";
import { el, figure } from "./dom";
import { bytes, share } from "./format";
import type { TreeNode } from "./tree";

const MOST = 100; // children of one row
const OPEN_FROM = 0.5; // of the parent: the way to the heaviest is open from the start

export function treeTable(root: TreeNode): HTMLElement {
  const body = el("tbody");
  const rowsOf = (node: TreeNode, depth: number): HTMLTableRowElement[] => {
    let opened: HTMLTableRowElement[] | null = null;
    const button = el("button", { type: "button", class: "twist", "aria-expanded": "false", "aria-label": "open" });
    const name = el(
      "td",
      { class: "wide", "--depth": depth },
      node.children.length ? button : el("span", { class: "twist" }),
      node.parent ? el("i", { class: "dot", "--colour": ownerColour(node.owner) }) : null,
      el("span", { class: depth > 1 ? "code" : null, title: node.where || null }, node.name),
    );
    const row = el(
      "tr",
      { "aria-level": depth + 1, role: "row" },
      name,
      el("td", { class: "number" }, figure(node.bytes, bytes(node.bytes))),
      el("td", { class: "number" }, share(node.bytes / Math.max(1, root.bytes))),
      el("td", { class: "number" }, node.own ? bytes(node.own) : ""),
    );
    const open = () => {
      opened = [];
      for (const child of node.children.slice(0, MOST)) opened.push(...rowsOf(child, depth + 1));
      if (node.children.length > MOST)
        opened.push(
          el(
            "tr",
            { class: "more" },
            el("td", { colspan: 4, "--depth": depth + 1 }, `${node.children.length - MOST} smaller ones`),
          ),
        );
      button.setAttribute("aria-expanded", "true");
      return opened;
    };
    const remove = (rows: HTMLTableRowElement[]) =>
      rows.forEach((each) => {
        each.dispatchEvent(new CustomEvent("close"));
        each.remove();
      });
    row.addEventListener("close", () => {
      if (opened) {
        remove(opened);
        opened = null;
      }
    });
    button.addEventListener("click", () => {
      if (opened) {
        remove(opened);
        opened = null;
        button.setAttribute("aria-expanded", "false");
      } else row.after(...open());
    });
    const heavy = !node.parent || node.bytes >= OPEN_FROM * node.parent.bytes;
    return heavy && depth < 40 && node.children.length ? [row, ...open()] : [row];
  };
  body.append(...rowsOf(root, 0));
  return el(
    "div",
    { class: "scroll" },
    el(
      "table",
      { class: "tree", role: "treegrid" },
      el("caption", {}, "Bytes by stack"),
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          el("th", { scope: "col" }, "what"),
          el("th", { scope: "col", class: "number" }, "bytes"),
          el("th", { scope: "col", class: "number" }, "share"),
          el("th", { scope: "col", class: "number" }, "itself"),
        ),
      ),
      body,
    ),
  );
}
