/** Measures of a heart against the reference hearts, validity and consistency. */

import { PHASES, type Atlas, type Choice, type Scene } from "./api";
import { distribution, type Cloud } from "./distribution";
import { el } from "./elements";
import { number } from "./format";

/** A line a measure: the number, where it lies, where the parent lay. */
export function measures(atlas: Atlas, choice: Choice, scene: Scene, parent: Scene | null, other: Scene | null): HTMLElement {
  const known = atlas.measures.filter(({ key }) => scene.measures[key] !== undefined);
  const rows = known.map((measure) => {
    const value = scene.measures[measure.key] ?? null;
    const healthy = parent?.measures[measure.key] ?? null;
    const cells = [
      el("th", { scope: "row" }, measure.name),
      el("td", { "data-measure": measure.key }, `${number(value)} ${measure.unit}`),
    ];
    if (scene.scan !== null) cells.push(el("td", { class: "scan", title: "measured on the scan's own labels" }, number(scene.scan[measure.key])));
    if (other !== null) cells.push(el("td", { class: "other" }, number(other.measures[measure.key])));
    const groups = clouds(atlas, choice, measure.key);
    const picture = groups.length ? distribution(measure, groups, healthy, value, atlas.reference_hearts) : null;
    return el("tr", {}, ...cells, el("td", { class: "picture" }, picture));
  });
  const heads = ["", "this heart", ...(scene.scan ? ["the scan"] : []), ...(other ? ["the other"] : []), ""];
  const head = el("thead", {}, el("tr", {}, ...heads.map((words) => (words ? el("th", { scope: "col" }, words) : el("td", {})))));
  return el("table", { class: "measures" }, head, el("tbody", {}, ...rows));
}

function clouds(atlas: Atlas, choice: Choice, key: string): Cloud[] {
  return groupsOf(atlas, choice).flatMap((group) => {
    const spread = atlas.reference[group]?.[key];
    const facts = atlas.groups[group];
    return spread && facts ? [{ name: group, colour: facts.colour, spread }] : [];
  });
}

function groupsOf({ healthy }: Atlas, { target }: Choice): string[] {
  return [...new Set([healthy, target])];
}

export function legend(atlas: Atlas, choice: Choice): HTMLElement {
  const keys = groupsOf(atlas, choice).flatMap((group) => {
    const facts = atlas.groups[group];
    if (!facts) return [];
    const swatch = el("span", { class: "swatch", style: `background:${facts.colour}` });
    return [el("li", { title: `${facts.name}: mean and SD of the ${atlas.reference_hearts}` }, swatch, `${group} ${atlas.reference_hearts} (n = ${facts.n})`)];
  });
  return el("ul", { class: "legend" }, ...keys, el("li", {}, "○ healthy parent"), el("li", {}, "│ this heart"));
}

/** Every check with its verdict in words and colour. */
export function checks(atlas: Atlas, scene: Scene): HTMLElement {
  const lines: HTMLElement[] = [];
  for (const phase of PHASES) {
    const { invalid_slices: bad, slices } = scene.phases[phase];
    const { name, help } = atlas.invalid_slices;
    lines.push(check(bad === 0, `${phase}: ${name}`, `${bad} of ${slices}`, `${help} Expected: none.`));
  }
  for (const [key, failed] of Object.entries(scene.failures)) {
    const { name, help } = atlas.checks[key] ?? { name: key, help: "" };
    lines.push(check(!failed, name, failed ? "no" : "yes", help));
  }
  for (const [key, { name, unit, help, range: [low, high] }] of Object.entries(atlas.smooth)) {
    const value = scene.smooth[key] ?? null;
    if (value === null) continue;
    const wanted = `Range of the ${atlas.reference_hearts}: ${number(low)} to ${number(high)} ${unit}`;
    lines.push(check(value >= low && value <= high, name, `${number(value)} ${unit}`, `${help} ${wanted}`));
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
