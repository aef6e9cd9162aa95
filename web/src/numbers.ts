/** The right-hand panel's first page: measures against the reference hearts, validity and consistency. */

import { HEALTHY, type Atlas, type Choice, type Scene } from "./api";
import { distribution, type Cloud } from "./distribution";
import { el } from "./dom";
import { FAILURES, INVALID_SLICES, MEASURES, number, referenceHearts, SMOOTH, THICKEST_SEGMENT } from "./format";

/** A line a measure: the number, where it lies, where the parent lay. */
export function measures(atlas: Atlas, choice: Choice, scene: Scene, parent: Scene | null, other: Scene | null): HTMLElement {
  const known = MEASURES.filter(({ key }) => valueOf(scene, key) !== undefined);
  const rows = known.map((measure) => {
    const value = valueOf(scene, measure.key) ?? null;
    const healthy = (parent && valueOf(parent, measure.key)) ?? null;
    const cells = [
      el("th", { scope: "row" }, measure.name),
      el("td", { "data-measure": measure.key }, `${number(value)} ${measure.unit}`),
    ];
    if (other !== null) cells.push(el("td", { class: "other" }, number(valueOf(other, measure.key))));
    const groups = clouds(atlas, choice, measure.key);
    const picture = groups.length ? distribution(measure, groups, healthy, value, referenceHearts(atlas)) : null;
    return el("tr", {}, ...cells, el("td", { class: "picture" }, picture));
  });
  return el("table", { class: "measures" }, el("tbody", {}, ...rows));
}

/** Undefined where the scene does not have the measure, null where it has it without a value. */
function valueOf(scene: Scene, key: string): number | null | undefined {
  if (key !== THICKEST_SEGMENT) return scene.measures[key];
  const segments = Object.values(scene.phases.ED.aha_mm).filter((one) => one !== null);
  return segments.length ? Math.max(...segments) : null;
}

function clouds(atlas: Atlas, choice: Choice, key: string): Cloud[] {
  return groupsOf(choice).flatMap((group) => {
    const spread = atlas.reference[group]?.[key];
    const facts = atlas.groups[group];
    return spread && facts ? [{ name: group, colour: facts.colour, spread }] : [];
  });
}

function groupsOf({ target }: Choice): string[] {
  return [...new Set([HEALTHY, target])];
}

export function legend(atlas: Atlas, choice: Choice): HTMLElement {
  const keys = groupsOf(choice).flatMap((group) => {
    const facts = atlas.groups[group];
    if (!facts) return [];
    const swatch = el("span", { class: "swatch", style: `background:${facts.colour}` });
    return [el("li", { title: `${facts.name}: mean and SD of the ${referenceHearts(atlas)}` }, swatch, `${group} ${referenceHearts(atlas)} (n = ${facts.n})`)];
  });
  return el("ul", { class: "legend" }, ...keys, el("li", {}, "○ healthy parent"), el("li", {}, "│ this heart"));
}

/** Every check with its verdict in words and colour. */
export function checks(atlas: Atlas, scene: Scene): HTMLElement {
  const lines: HTMLElement[] = [];
  for (const phase of ["ED", "ES"] as const) {
    const { invalid_slices: bad, slices } = scene.phases[phase];
    lines.push(check(bad === 0, `${phase}: anatomically invalid slices`, `${bad} of ${slices}`, `${INVALID_SLICES} Expected: none.`));
  }
  for (const [key, failed] of Object.entries(scene.failures)) {
    const { name, help } = FAILURES[key] ?? { name: key, help: "" };
    lines.push(check(!failed, name, failed ? "no" : "yes", help));
  }
  for (const [key, value] of Object.entries(scene.smooth)) {
    const range = atlas.smooth[key];
    if (value === null || range === undefined) continue;
    const { name, unit, help } = SMOOTH[key] ?? { name: key, unit: "", help: "" };
    const wanted = `Range of the ${referenceHearts(atlas)}: ${number(range[0])} to ${number(range[1])} ${unit}`;
    lines.push(check(value >= range[0] && value <= range[1], name, `${number(value)} ${unit}`, `${help} ${wanted}`));
  }
  return el("ul", { class: "checks" }, ...lines);
}

function check(fine: boolean, name: string, value: string, help: string): HTMLElement {
  const verdict = fine ? "passed" : "failed";
  return el(
    "li",
    { class: fine ? "fine" : "outside", title: `${verdict}. ${help}` },
    el("span", { class: "mark", "aria-label": `${verdict}. ${help}`, role: "img" }, fine ? "✓" : "✕"),
    el("span", { class: "name" }, name),
    el("span", { class: "value" }, value),
  );
}
