/** What is written over the views: their names, sides of the heart, the slice and a scale. */

import { el } from "./elements";

/** A drawn view: which one, where on the canvas in CSS pixels, and the width that it shows in mm. */
export interface Tile {
  view: number;
  left: number;
  top: number;
  width: number;
  height: number;
  mm: number;
}

type Sides = { name: string; left: string; right: string; top: string; bottom: string };
const SCALE_MM = 20;

/** By NiiVue's number of the view. */
const VIEWS: Record<number, Sides> = {
  0: { name: "Short axis", left: "septal / RV", right: "lateral", top: "anterior", bottom: "inferior" },
  1: { name: "Long axis, septal to lateral", left: "septal / RV", right: "lateral", top: "base", bottom: "apex" },
  2: { name: "Long axis, anterior to inferior", left: "anterior", right: "inferior", top: "base", bottom: "apex" },
};

export function marks(tiles: Tile[], slice: number, slices: number): HTMLElement[] {
  return tiles.flatMap(({ view, left, top, width, height, mm }) => {
    const sides = VIEWS[view];
    if (sides === undefined) return [];
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
