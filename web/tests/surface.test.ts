import { describe, expect, test } from "vitest";

import { surface, type Surface } from "../src/surface";
import { affine, type Slices } from "../src/volumes";

const [SLICES, COLUMNS, ROWS] = [12, 30, 26] as const;
const SPACING: [number, number, number] = [1.5, 2, 4];

/** A box of label 2 over the given ranges of columns, rows and slices. */
function boxOf([x0, x1]: [number, number], [y0, y1]: [number, number], [k0, k1]: [number, number]): Slices {
  const values = new Uint8Array(SLICES * COLUMNS * ROWS);
  for (let k = k0; k <= k1; k++) {
    for (let x = x0; x <= x1; x++) {
      for (let y = y0; y <= y1; y++) values[(k * COLUMNS + x) * ROWS + y] = 2;
    }
  }
  return { shape: [SLICES, COLUMNS, ROWS], spacing_mm: SPACING, world: null, values };
}

function corners({ points, triangles }: Surface): [number, number, number][][] {
  const at = (index: number): [number, number, number] => [points[3 * index]!, points[3 * index + 1]!, points[3 * index + 2]!];
  return Array.from({ length: triangles.length / 3 }, (_, t) => [0, 1, 2].map((corner) => at(triangles[3 * t + corner]!)));
}

/** By the divergence theorem: positive where triangles face outwards. */
function volumeMm3(made: Surface): number {
  return corners(made).reduce((sum, [a, b, c]) => {
    const [[ax, ay, az], [bx, by, bz], [cx, cy, cz]] = [a!, b!, c!];
    return sum + (ax * (by * cz - bz * cy) - ay * (bx * cz - bz * cx) + az * (bx * cy - by * cx)) / 6;
  }, 0);
}

const box = boxOf([4, 13], [6, 17], [3, 8]);
const made = surface(box, 2)!;

describe("surface", () => {
  test("of a label that is not there is none", () => {
    expect(surface(box, 1)).toBeNull();
  });

  test("is closed: every edge belongs to two triangles, once each way", () => {
    const seen = new Map<string, number>();
    const { triangles } = made;
    for (let t = 0; t < triangles.length; t += 3) {
      for (const [from, to] of [[0, 1], [1, 2], [2, 0]] as const) {
        const edge = `${triangles[t + from]}-${triangles[t + to]}`;
        seen.set(edge, (seen.get(edge) ?? 0) + 1);
      }
    }
    for (const [edge, count] of seen) {
      expect(count).toBe(1);
      expect(seen.get(edge.split("-").reverse().join("-"))).toBe(1);
    }
  });

  test("faces outwards and holds the box's volume", () => {
    const expected = 10 * 12 * 6 * SPACING[0] * SPACING[1] * SPACING[2];
    expect(volumeMm3(made)).toBeGreaterThan(0.75 * expected);
    expect(volumeMm3(made)).toBeLessThan(1.1 * expected);
  });

  test("lies where the volume's affine puts the box", () => {
    const { scale, origin } = affine(box);
    const middle = [8.5, 11.5, 5.5];
    for (let axis = 0; axis < 3; axis++) {
      const along = Array.from({ length: made.points.length / 3 }, (_, index) => made.points[3 * index + axis]!);
      const centre = 0.5 * (Math.min(...along) + Math.max(...along));
      expect(centre).toBeCloseTo(origin[axis]! + scale[axis]! * middle[axis]!, 3);
    }
  });

  test("has low columns, where the RV is, on the right", () => {
    const mean = (of: Surface): number => corners(of).flat().reduce((sum, [x]) => sum + x, 0);
    const low = surface(boxOf([2, 6], [6, 17], [3, 8]), 2)!;
    const high = surface(boxOf([22, 26], [6, 17], [3, 8]), 2)!;
    expect(mean(low)).toBeGreaterThan(0);
    expect(mean(high)).toBeLessThan(0);
  });
});
