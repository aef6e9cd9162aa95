/** What colours mean: a bar from the lowest to the highest value. */

import { el, svg } from "./elements";
import { number } from "./format";

const STEPS = 40;

export function colourBar(name: string, [low, high]: [number, number], colour: (value: number) => string): HTMLElement {
  const cells = Array.from({ length: STEPS }, (_, index) => {
    const value = low + ((high - low) * (index + 0.5)) / STEPS;
    return svg("rect", { x: index, y: 0, width: 1.05, height: 4, fill: colour(value) });
  });
  const bar = svg("svg", { viewBox: `0 0 ${STEPS} 4`, preserveAspectRatio: "none", "aria-hidden": "true" }, ...cells);
  return el("p", { class: "colourbar" }, el("span", {}, number(low)), bar, el("span", {}, number(high)), el("span", {}, name));
}
