/** The latent space as a map, its matrices and nothing else. */

import type { Atlas, Latent, Point } from "./api";
import { el, picture, svg } from "./elements";

const WIDTH = 300;
const HEIGHT = 230;
const REACH = 2;
/** Correlations from here on have the darkest colour. */
export const CORRELATION_END = 0.6;

/** Groups as ellipses of two SDs, the cohort's hearts as dots, the way of the morph and the heart on it. */
export function latentMap(atlas: Atlas, latent: Latent, way: Point[], heart: Point): SVGElement {
  const corners = Object.values(latent.ellipses).flatMap(({ centre, covariance }) => {
    const [rx, ry] = [REACH * Math.sqrt(covariance[0][0]), REACH * Math.sqrt(covariance[1][1])];
    return [[centre[0] - rx, centre[1] - ry], [centre[0] + rx, centre[1] + ry]] as Point[];
  });
  const all = [...corners, ...latent.subjects.map(({ place }) => place), ...way, heart];
  const [x, y] = [0, 1].map((axis) => scale(all.map((point) => point[axis]!), axis === 0 ? WIDTH : HEIGHT, axis === 1));
  const parts: SVGElement[] = [];
  for (const [group, { centre, covariance }] of Object.entries(latent.ellipses)) {
    const { name, colour } = atlas.groups[group]!;
    const outline = ellipse(centre, covariance).map(([a, b]) => `${x!(a).toFixed(1)} ${y!(b).toFixed(1)}`);
    parts.push(
      svg("path", { d: `M${outline.join("L")}Z`, fill: colour, "fill-opacity": 0.16, stroke: colour }, svg("title", {}, name)),
      svg("text", { x: x!(centre[0]), y: y!(centre[1]), class: "group" }, group),
    );
  }
  for (const { id, group, place } of latent.subjects) {
    const fill = atlas.groups[group]?.colour ?? "#888";
    parts.push(svg("circle", { cx: x!(place[0]), cy: y!(place[1]), r: 2.5, fill }, svg("title", {}, `${id}, ${group}`)));
  }
  const line = way.map(([a, b]) => `${x!(a).toFixed(1)} ${y!(b).toFixed(1)}`).join("L");
  parts.push(svg("path", { d: `M${line}`, class: "way" }));
  parts.push(svg("circle", { cx: x!(heart[0]), cy: y!(heart[1]), r: 5, class: "here", "data-x": heart[0] }));
  const words = `Map of the latent space; groups ${Object.keys(latent.ellipses).join(", ")}, the way of this morph`;
  return picture(words, WIDTH, HEIGHT, ...parts);
}

function scale(values: number[], size: number, turned: boolean): (value: number) => number {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const share = (value: number): number => (value - low) / (high - low || 1);
  return (value) => 8 + (size - 16) * (turned ? 1 - share(value) : share(value));
}

/** Points of the ellipse of REACH standard deviations: the covariance's Cholesky factor times a circle. */
function ellipse([cx, cy]: Point, [[a, b], [, d]]: [Point, Point]): Point[] {
  const l11 = Math.sqrt(a);
  const l21 = b / (l11 || 1);
  const l22 = Math.sqrt(Math.max(0, d - l21 * l21));
  return Array.from({ length: 60 }, (_, index) => {
    const angle = (2 * Math.PI * index) / 60;
    const [u, v] = [REACH * Math.cos(angle), REACH * Math.sin(angle)];
    return [cx + l11 * u, cy + l21 * u + l22 * v];
  });
}

/** Correlations as a grid of colours: blue below zero, red above. */
export function matrix(title: string, values: number[][]): HTMLElement {
  const n = values.length;
  const cells = values.flatMap((row, i) =>
    row.map((value, j) => svg("rect", { x: j, y: i, width: 1.02, height: 1.02, fill: correlationColour(value) },
      svg("title", {}, `${i + 1}, ${j + 1}: ${value.toFixed(2)}`))),
  );
  return el("figure", {}, picture(`${title}: rank correlations of ${n} latent dimensions`, n, n, ...cells), el("figcaption", {}, title));
}

export function correlationColour(value: number): string {
  const share = Math.min(1, Math.abs(value) / CORRELATION_END);
  return `hsl(${value < 0 ? 215 : 8} ${70 * share}% ${96 - 46 * share}%)`;
}
