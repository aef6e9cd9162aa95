/** The latent space: map, sliders and matrices. */

import type { Atlas, Choice, Latent, Scene } from "./api";
import type { How } from "./url-state";
import { el, select } from "./elements";
import { colourBar } from "./colour-bar";
import { CORRELATION_END, correlationColour, latentMap, matrix } from "./latent-map";

export interface LatentPanel {
  panel: HTMLElement;
  /** Sets the sliders to a choice: what is wanted, whether or not it has come. */
  follow(choice: Choice): void;
  /** Draws the map of the heart that has come. */
  draw(scene: Scene, parent: Scene | null, end: Scene | null): void;
}

export function latentPanel(
  atlas: Atlas,
  latent: Latent,
  live: boolean,
  moved: (shift: number[], how: How) => void,
): LatentPanel {
  const map = el("div", { class: "map" });
  const sliders = atlas.latent_sd.map((sd, index) => {
    const input = el("input", {
      type: "range", min: -3, max: 3, step: 0.1, value: 0, disabled: !live,
      "aria-label": `latent dimension ${index + 1}, in standard deviations`,
      title: `SD ${sd.toFixed(2)}`,
      input: () => moved(shift(), "dragging"),
      change: () => moved(shift(), "done"),
    });
    return input;
  });
  const shift = (): number[] => sliders.map((one) => one.valueAsNumber);
  const reset = el("button", { type: "button", disabled: !live, click: () => moved([], "done") }, "Reset");
  const matrices = el("div", { class: "matrices" });
  const drawMatrices = (group: string): void => {
    const found = latent.kendall[group];
    if (found) matrices.replaceChildren(matrix(`${group} ED`, found.ED), matrix(`${group} ES`, found.ES));
  };
  const groups = Object.fromEntries(Object.entries(atlas.groups).map(([key, { name }]) => [key, `${key}: ${name}`]));
  const [groupField, group] = select("Correlations of", groups, atlas.healthy, drawMatrices);
  drawMatrices(group.value);
  const explained = latent.explained.map((share) => `${Math.round(100 * share)} %`).join(" and ");
  const panel = el(
    "div",
    {},
    map,
    el("p", { class: "note" }, `Two principal axes (${explained} of the variance between hearts); ellipses are two SDs of each group.`),
    el("div", { class: "sliders" }, ...sliders.map((input, index) => el("label", {}, el("span", {}, String(index + 1)), input))),
    el("div", { class: "row" }, el("p", { class: "note" }, "Each slider shifts all slices along one latent dimension, ± 3 SD."), reset),
    groupField,
    matrices,
    colourBar("Kendall's τ", [-CORRELATION_END, CORRELATION_END], correlationColour),
  );
  const follow = (choice: Choice): void => {
    sliders.forEach((input, index) => (input.value = String(choice.shift[index] ?? 0)));
  };
  const drawn = (scene: Scene, parent: Scene | null, end: Scene | null): void => {
    const way = [parent, scene, end].flatMap((one) => (one === null ? [] : [one.place]));
    map.replaceChildren(latentMap(atlas, latent, way, scene.place));
  };
  return { panel, follow, draw: drawn };
}
