/** Pages behind tabs, as the ARIA pattern has them. */

import { el } from "./elements";

export interface Tabs {
  element: HTMLElement;
  panel(name: string): HTMLElement;
  show(name: string): void;
}

/** @param chosen called when a hand or a key has chosen a tab */
export function tabs(names: readonly string[], label: string, chosen: (name: string) => void): Tabs {
  const panels = names.map((_, index) =>
    el("div", { role: "tabpanel", id: `page-${index}`, "aria-labelledby": `tab-${index}`, tabindex: 0 }),
  );
  const choose = (index: number): void => {
    show(names[index]!);
    chosen(names[index]!);
  };
  const buttons = names.map((name, index) =>
    el("button", {
      type: "button", role: "tab", id: `tab-${index}`, "aria-controls": `page-${index}`,
      click: () => choose(index),
      keydown: (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[(event as KeyboardEvent).key];
        if (step === undefined) return;
        const next = (index + step + names.length) % names.length;
        choose(next);
        buttons[next]!.focus();
      },
    }, name),
  );
  const show = (name: string): void => {
    const open = names.indexOf(name);
    panels.forEach((panel, index) => (panel.hidden = index !== open));
    buttons.forEach((tab, index) => {
      tab.setAttribute("aria-selected", String(index === open));
      tab.tabIndex = index === open ? 0 : -1;
    });
  };
  show(names[0]!);
  const list = el("div", { role: "tablist", "aria-label": label }, ...buttons);
  return {
    element: el("section", { class: "panel facts", "aria-label": label }, list, ...panels),
    panel: (name) => panels[names.indexOf(name)]!,
    show,
  };
}
