/** Wall thickness by AHA segment: basal ring outside, apex inside, anterior on top. */

import { picture, svg } from "./elements";
import { number } from "./format";

const SIZE = 220;
const MIDDLE = SIZE / 2;
const RINGS = [
  { first: 1, count: 6, inner: 76, outer: 105 },
  { first: 7, count: 6, inner: 46, outer: 75 },
  { first: 13, count: 4, inner: 14, outer: 45 },
];

export function bullseye(aha: Record<string, number | null>, range: [number, number], title: string): SVGElement {
  const parts: SVGElement[] = [];
  for (const { first, count, inner, outer } of RINGS) {
    const width = (2 * Math.PI) / count;
    for (let index = 0; index < count; index++) {
      const segment = first + index;
      const value = aha[`wall_aha_${String(segment).padStart(2, "0")}_mm`] ?? null;
      // Segments follow one another counterclockwise from the anterior one, whose middle is on top.
      const middle = -Math.PI / 2 - index * width;
      parts.push(
        svg(
          "path",
          { d: sector(middle - width / 2, middle + width / 2, inner, outer), fill: shade(value, range), class: "segment" },
          svg("title", {}, `segment ${segment}: ${number(value)} mm`),
        ),
      );
      const radius = (inner + outer) / 2;
      const place = { x: MIDDLE + radius * Math.cos(middle), y: MIDDLE + radius * Math.sin(middle) + 4 };
      parts.push(svg("text", { ...place, class: "thickness" }, number(value)));
    }
  }
  return picture(title, SIZE, SIZE, ...parts);
}

function sector(from: number, to: number, inner: number, outer: number): string {
  const at = (angle: number, radius: number): string =>
    `${MIDDLE + radius * Math.cos(angle)} ${MIDDLE + radius * Math.sin(angle)}`;
  return (
    `M${at(from, inner)}L${at(from, outer)}A${outer} ${outer} 0 0 1 ${at(to, outer)}` +
    `L${at(to, inner)}A${inner} ${inner} 0 0 0 ${at(from, inner)}Z`
  );
}

/** From pale to dark red-brown; readable under black text throughout. */
export function shade(value: number | null, [low, high]: [number, number]): string {
  if (value === null) return "#9993";
  const share = Math.min(1, Math.max(0, (value - low) / (high - low)));
  return `hsl(${48 - 40 * share} 90% ${88 - 30 * share}%)`;
}
