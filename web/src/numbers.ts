/** The right-hand panel's first page: measures against real hearts, validity and consistency. */

import type { Atlas, Choice, Scene } from "./api";
import { distribution, type Cloud } from "./distribution";
import { el } from "./dom";
import { FAILURES, MEASURES, number, SMOOTH } from "./format";

const HEALTHY = "NOR";

/** A line a measure: the number, where it lies, where the parent lay. */
export function measures(atlas: Atlas, choice: Choice, scene: Scene, parent: Scene | null, other: Scene | null): HTMLElement {
  const rows = MEASURES.map((measure) => {
    const value = scene.measures[measure.key] ?? null;
    const healthy = parent?.measures[measure.key] ?? null;
    const cells = [
      el("th", { scope: "row" }, measure.name),
      el("td", { "data-measure": measure.key }, `${number(value)} ${measure.unit}`),
    ];
    if (other !== null) cells.push(el("td", { class: "other" }, number(other.measures[measure.key])));
    const picture = distribution(measure, clouds(atlas, choice, measure.key), healthy, value);
    return el("tr", {}, ...cells, el("td", { class: "picture" }, picture as unknown as HTMLElement));
  });
  return el("table", { class: "measures" }, el("tbody", {}, ...rows));
}

function clouds(atlas: Atlas, choice: Choice, key: string): Cloud[] {
  return [HEALTHY, choice.target].flatMap((group) => {
    const spread = atlas.reference[group]?.[key];
    const facts = atlas.groups[group];
    return spread && facts ? [{ name: group, colour: facts.colour, spread }] : [];
  });
}

export function legend(atlas: Atlas, choice: Choice): HTMLElement {
  const keys = [HEALTHY, choice.target].flatMap((group) => {
    const facts = atlas.groups[group];
    return facts ? [el("li", {}, el("span", { class: "swatch", style: `background:${facts.colour}` }), `real ${group}`)] : [];
  });
  return el("ul", { class: "legend" }, ...keys, el("li", {}, "○ the parent"), el("li", {}, "│ this heart"));
}

/** Every check with its verdict in words and colour. */
export function checks(atlas: Atlas, scene: Scene): HTMLElement {
  const lines: HTMLElement[] = [];
  for (const phase of ["ED", "ES"] as const) {
    const { invalid_slices: bad, slices } = scene.phases[phase];
    lines.push(check(bad === 0, `${phase}: slices outside the anatomical bounds`, `${bad} of ${slices}`, "0"));
  }
  for (const [key, failed] of Object.entries(scene.failures)) {
    lines.push(check(!failed, FAILURES[key] ?? key, failed ? "no" : "yes", "yes"));
  }
  for (const [key, value] of Object.entries(scene.smooth)) {
    const range = atlas.smooth[key];
    if (value === null || range === undefined) continue;
    const { name, unit } = SMOOTH[key] ?? { name: key, unit: "" };
    const wanted = `${number(range[0])} to ${number(range[1])}`;
    lines.push(check(value >= range[0] && value <= range[1], name, `${number(value)} ${unit}`, wanted));
  }
  return el("ul", { class: "checks" }, ...lines);
}

function check(fine: boolean, name: string, value: string, wanted: string): HTMLElement {
  const verdict = fine ? "inside the real range" : "outside the real range";
  return el(
    "li",
    { class: fine ? "fine" : "outside", title: `${verdict}; real hearts: ${wanted}` },
    el("span", { class: "mark", "aria-label": verdict, role: "img" }, fine ? "✓" : "✕"),
    el("span", { class: "name" }, name),
    el("span", { class: "value" }, value),
  );
}
