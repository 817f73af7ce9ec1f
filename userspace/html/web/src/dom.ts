// SPDX-License-Identifier: Apache-2.0
// Elements. Names come from the recorded program, so text is only ever set as text; characters that would reorder or hide the
// text around them are written out.

export type Child = Node | string | number | null | undefined | false;
type Props = Record<string, string | number | boolean | null | undefined | ((event: never) => void)>;

const UNSAFE =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;
export const printable = (text: string) =>
  text.replace(UNSAFE, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);

function filled<E extends Element>(made: E, props: Props, children: Child[]): E {
  for (const [name, value] of Object.entries(props)) {
    if (value == null || value === false) continue;
    if (typeof value === "function") made.addEventListener(name.slice(2), value as EventListener);
    else if (name.startsWith("--") || name === "width%" || name === "left%") {
      const style = (made as unknown as HTMLElement).style;
      if (name.startsWith("--")) style.setProperty(name, String(value));
      else style.setProperty(name.slice(0, -1), `${value}%`);
    } else made.setAttribute(name, value === true ? "" : printable(String(value)));
  }
  for (const child of children)
    if (child != null && child !== false) made.append(child instanceof Node ? child : printable(String(child)));
  return made;
}

export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  return filled(document.createElement(tag), props, children);
}
// A figure, with its exact value for whoever reads the page by program.
export const figure = (value: number | null | undefined, text: string) =>
  el("data", { value: value ?? "", title: value == null ? null : `${value.toLocaleString("en-US")} bytes` }, text);

export interface Column<Row> {
  name: string;
  number?: boolean;
  cell: (row: Row) => Child;
  sort?: (row: Row) => number | string;
  wide?: boolean;
}

// A table that sorts by its heads. `more`: rows beyond `most` are counted, not drawn.
export function table<Row>(caption: string, columns: Column<Row>[], rows: Row[], most = 200): HTMLElement {
  let sorted = rows,
    by = -1,
    up = false;
  const body = el("tbody");
  const heads = columns.map((column, index) =>
    el(
      "th",
      { scope: "col", class: column.number ? "number" : null },
      column.sort ? el("button", { type: "button", onclick: () => order(index) }, column.name) : column.name,
    ),
  );
  const fill = () => {
    body.replaceChildren(
      ...sorted
        .slice(0, most)
        .map((row) =>
          el(
            "tr",
            {},
            ...columns.map((column) =>
              el(
                "td",
                { class: [column.number && "number", column.wide && "wide"].filter(Boolean).join(" ") || null },
                column.cell(row),
              ),
            ),
          ),
        ),
    );
    if (sorted.length > most)
      body.append(
        el(
          "tr",
          { class: "more" },
          el("td", { colspan: columns.length }, `${(sorted.length - most).toLocaleString("en-US")} smaller ones`),
        ),
      );
    if (!sorted.length) body.append(el("tr", { class: "more" }, el("td", { colspan: columns.length }, "none")));
  };
  const order = (index: number) => {
    up = by === index ? !up : !columns[index]!.number;
    by = index;
    const key = columns[index]!.sort!;
    sorted = [...rows].sort((a, b) => {
      const x = key(a),
        y = key(b);
      return (x < y ? -1 : x > y ? 1 : 0) * (up ? 1 : -1);
    });
    heads.forEach((head, i) =>
      i === by ? head.setAttribute("aria-sort", up ? "ascending" : "descending") : head.removeAttribute("aria-sort"),
    );
    fill();
  };
  fill();
  return el(
    "div",
    { class: "scroll" },
    el("table", {}, el("caption", {}, caption), el("thead", {}, el("tr", {}, ...heads)), body),
  );
}
