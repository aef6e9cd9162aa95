/** Smooth surfaces of the structures, from label slices. */

import { surfaceNets } from "isosurface";

import { affine, type Slices } from "./volumes";

export interface Surface {
  /** (x, y, z) of every vertex in mm. */
  points: Float32Array;
  triangles: Uint32Array;
}

type Box = { low: number[]; size: number[] };
const MARGIN = 2;

/** The surface of one label; null where there is none of it. */
export function surface(volume: Slices, label: number): Surface | null {
  const box = boxAround(volume, label);
  if (box === null) return null;
  const [nk, nx, ny] = box.size as [number, number, number];
  const field = blurred(mask(volume, label, box), box.size);
  const net = surfaceNets([nk, nx, ny], (k, x, y) => 0.5 - field[(k * nx + x) * ny + y]!);
  const { scale, origin } = affine(volume);
  const points = new Float32Array(3 * net.positions.length);
  net.positions.forEach(([k, x, y], index) => {
    const voxel = [x + box.low[1]!, y + box.low[2]!, k + box.low[0]!];
    for (let axis = 0; axis < 3; axis++) points[3 * index + axis] = origin[axis]! + scale[axis]! * voxel[axis]!;
  });
  // The field's axes (slice, x, y) are an even turn of (x, y, slice); the mirrored affine turns every triangle inside out.
  const outward = net.cells.map(([a, b, c]) => [a, c, b]);
  return { points, triangles: Uint32Array.from(outward.flat()) };
}

function boxAround({ shape, values }: Slices, label: number): Box | null {
  const [, nx, ny] = shape;
  const low = [Infinity, Infinity, Infinity];
  const high = [-Infinity, -Infinity, -Infinity];
  for (let at = 0; at < values.length; at++) {
    if (values[at] !== label) continue;
    const place = [Math.floor(at / (nx * ny)), Math.floor(at / ny) % nx, at % ny];
    for (let axis = 0; axis < 3; axis++) {
      low[axis] = Math.min(low[axis]!, place[axis]!);
      high[axis] = Math.max(high[axis]!, place[axis]!);
    }
  }
  if (low[0] === Infinity) return null;
  return { low: low.map((n) => n - MARGIN), size: high.map((n, axis) => n - low[axis]! + 1 + 2 * MARGIN) };
}

function mask({ shape, values }: Slices, label: number, box: Box): Float32Array {
  const [, nx, ny] = shape;
  const [bk, bx, by] = box.size as [number, number, number];
  const field = new Float32Array(bk * bx * by);
  for (let k = MARGIN; k < bk - MARGIN; k++) {
    for (let x = MARGIN; x < bx - MARGIN; x++) {
      for (let y = MARGIN; y < by - MARGIN; y++) {
        const there = values[((k + box.low[0]!) * nx + x + box.low[1]!) * ny + y + box.low[2]!];
        field[(k * bx + x) * by + y] = there === label ? 1 : 0;
      }
    }
  }
  return field;
}

/** Weights 1, 2, 1 along each axis: takes the stairs off without moving the wall. */
function blurred(field: Float32Array, size: number[]): Float32Array {
  const steps = [size[1]! * size[2]!, size[2]!, 1];
  return steps.reduce((from, step) => {
    const to = new Float32Array(from.length);
    for (let at = step; at < from.length - step; at++) {
      to[at] = 0.25 * from[at - step]! + 0.5 * from[at]! + 0.25 * from[at + step]!;
    }
    return to;
  }, field);
}
