/** A measure of the heart on the screen against the reference hearts of two groups. */

import type { Measure, Spread } from "./api";
import { picture, svg } from "./elements";
import { number } from "./format";

const WIDTH = 150;
const HEIGHT = 34;
const BASE = 28;

export interface Cloud {
  name: string;
  colour: string;
  spread: Spread;
}

/** Bell curves of the groups' mean and SD, a ring where the parent is and a needle where the heart is. */
export function distribution(measure: Measure, clouds: Cloud[], parent: number | null, value: number | null, hearts: string): SVGElement {
  const known = [parent, value].filter((one) => one !== null);
  const ends = clouds.flatMap(({ spread }) => [spread.mean - 3 * spread.sd, spread.mean + 3 * spread.sd]);
  const low = Math.min(...known, ...ends);
  const high = Math.max(...known, ...ends);
  const x = (at: number): number => 4 + ((WIDTH - 8) * (at - low)) / (high - low || 1);
  const words = clouds.map(({ name, spread }) => `${name} ${number(spread.mean)} ± ${number(spread.sd)} (n = ${spread.n})`).join(", ");
  const parts = clouds.map(({ colour, spread }) => bell(spread, x, colour));
  if (parent !== null) parts.push(svg("circle", { cx: x(parent), cy: BASE, r: 3.5, class: "parent" }));
  if (value !== null) {
    parts.push(svg("path", { d: `M${x(value)} 2V${BASE + 3}`, class: "needle", "data-value": value }));
  }
  parts.push(svg("path", { d: `M0 ${BASE}H${WIDTH}`, class: "axis" }));
  return picture(`${measure.name} ${number(value)} ${measure.unit}${words && `; ${hearts}: ${words}`}`, WIDTH, HEIGHT, ...parts);
}

function bell(spread: Spread, x: (at: number) => number, colour: string): SVGElement {
  const steps = Array.from({ length: 41 }, (_, index) => -3 + 0.15 * index);
  const line = steps.map((z) => `${x(spread.mean + z * spread.sd).toFixed(1)} ${(BASE - 22 * Math.exp(-z * z / 2)).toFixed(1)}`);
  return svg("path", { d: `M${line.join("L")}Z`, fill: colour, "fill-opacity": 0.35, stroke: colour });
}
