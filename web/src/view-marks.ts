/** What is written over the views: their names, sides of the heart, the slice and a scale. */

import { el } from "./elements";

import type { World } from "./volumes";

/** A drawn view: which one, where on the canvas in CSS pixels, and the width that it shows in mm. */
export interface Tile {
  view: number;
  left: number;
  top: number;
  width: number;
  height: number;
  mm: number;
}

export type Sides = { name: string; left: string; right: string; top: string; bottom: string };
const SCALE_MM = 20;

/** By NiiVue's number of the view. */
const VIEWS: Record<number, Sides> = {
  0: { name: "Short axis", left: "septal / RV", right: "lateral", top: "anterior", bottom: "inferior" },
  1: { name: "Long axis, septal to lateral", left: "septal / RV", right: "lateral", top: "base", bottom: "apex" },
  2: { name: "Long axis, anterior to inferior", left: "anterior", right: "inferior", top: "base", bottom: "apex" },
};

/** The sides by the world's directions, where the volume is a patient's whole image. */
export function inWorld(view: number, sides: Sides, [x, y]: World): Sides {
  const [across, down] = view === 2 ? [y, null] : [x, view === 0 ? y : null];
  return { ...sides, left: across[0], right: across[1], ...(down && { top: down[0], bottom: down[1] }) };
}

export function marks(tiles: Tile[], slice: number, slices: number, world: World | null): HTMLElement[] {
  return tiles.flatMap(({ view, left, top, width, height, mm }) => {
    const known = VIEWS[view];
    if (known === undefined) return [];
    const sides = world === null ? known : inWorld(view, known, world);
    const { name, ...edges } = sides;
    const where = `left:${left}px;top:${top}px;width:${width}px;height:${height}px`;
    const words = view === 0 ? `${name}, slice ${slice} of ${slices} from the base` : name;
    const scale = el("span", { class: "scale", style: `width:${(SCALE_MM * width) / mm}px` }, `${SCALE_MM} mm`);
    return [
      el("div", { class: "marks", style: where }, el("span", { class: "name" }, words),
        ...Object.entries(edges).map(([edge, word]) => el("span", { class: `edge ${edge}` }, word)), scale),
    ];
  });
}
