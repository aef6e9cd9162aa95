/** The latent room: map, sliders and matrices. */

import type { Atlas, Choice, Latent, Scene } from "./api";
import { el, select } from "./dom";
import { latentMap, matrix } from "./latentmap";

export interface Room {
  panel: HTMLElement;
  follow(choice: Choice, scene: Scene, parent: Scene | null, end: Scene | null): void;
}

export function room(atlas: Atlas, latent: Latent, live: boolean, moved: (shift: number[]) => void): Room {
  const map = el("div", { class: "map" });
  const sliders = atlas.latent_sd.map((sd, index) => {
    const input = el("input", {
      type: "range", min: -3, max: 3, step: 0.1, value: 0, disabled: !live,
      "aria-label": `latent dimension ${index + 1}, in standard deviations`,
      title: `SD ${sd.toFixed(2)}`,
      input: () => moved(sliders.map((one) => one.valueAsNumber)),
    });
    return input;
  });
  const reset = el("button", { type: "button", disabled: !live, click: () => moved([]) }, "Reset");
  const matrices = el("div", { class: "matrices" });
  const draw = (group: string): void => {
    const found = latent.kendall[group];
    if (found) matrices.replaceChildren(matrix(`${group} ED`, found.ED), matrix(`${group} ES`, found.ES));
  };
  const groups = Object.fromEntries(Object.entries(atlas.groups).map(([key, { name }]) => [key, `${key}: ${name}`]));
  const [groupField, group] = select("Correlations of", groups, "NOR", draw);
  draw(group.value);
  const explained = latent.explained.map((share) => `${Math.round(100 * share)} %`).join(" and ");
  const panel = el(
    "div",
    {},
    map,
    el("p", { class: "note" }, `Two principal axes (${explained} of the variance between hearts); ellipses are two SDs of each group.`),
    el("div", { class: "sliders" }, ...sliders.map((input, index) => el("label", {}, el("span", {}, String(index + 1)), input))),
    el("div", { class: "row" }, el("p", { class: "note" }, "Each slider moves all slices along a latent dimension, ± 3 SD."), reset),
    groupField,
    matrices,
  );
  const follow = (choice: Choice, scene: Scene, parent: Scene | null, end: Scene | null): void => {
    const way = [parent, scene, end].flatMap((one) => (one === null ? [] : [one.place]));
    map.replaceChildren(latentMap(atlas, latent, way, scene.place));
    sliders.forEach((input, index) => (input.value = String(choice.shift[index] ?? 0)));
  };
  return { panel, follow };
}
