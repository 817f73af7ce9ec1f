// SPDX-License-Identifier: Apache-2.0
// The keyboard: one list for both the actions and the help of "?".
import { el } from "./dom";

export interface Key {
  key: string;
  says: string;
  act: () => unknown;
}

export class Keys {
  private readonly dialog = el("dialog", { class: "keys", "aria-label": "keys" });
  private keys: Key[] = [];

  constructor() {
    document.body.append(this.dialog);
    document.addEventListener("keydown", (event) => {
      const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
      if (event.key === "Escape" && event.target instanceof HTMLInputElement) event.target.blur();
      if (typing || event.ctrlKey || event.metaKey || event.altKey || this.dialog.open) return;
      const found = this.keys.find((each) => each.key === event.key);
      if (!found) return;
      event.preventDefault();
      found.act();
    });
    this.dialog.addEventListener("click", () => this.dialog.close());
  }
  use(keys: Key[]) {
    this.keys = [...keys, { key: "?", says: "this list", act: () => this.help() }];
    this.dialog.replaceChildren(
      el("h2", {}, "Keys"),
      el(
        "dl",
        {},
        ...this.keys.flatMap(({ key, says }) => [
          el("dt", {}, el("kbd", {}, key === "Escape" ? "Esc" : key)),
          el("dd", {}, says),
        ]),
      ),
      el("form", { method: "dialog" }, el("button", {}, "Close")),
    );
  }
  help() {
    this.dialog.showModal();
  }
}
