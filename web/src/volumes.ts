/** Volumes on the way from the server to the graphics card. */

import { NVImage } from "@niivue/niivue";

type Triple = [number, number, number];

/** A volume in (slice, x, y) order, with the distances between pixels, pixels and slices in mm. */
export interface Slices {
  shape: Triple;
  spacing_mm: Triple;
  values: Uint8Array;
  /** World directions at both ends of x, y and slices, of a whole image; null of a crop in the heart's own axes. */
  world: World | null;
}

type Ends = [string, string];
export type World = [Ends, Ends, Ends];

/** Bytes of gzipped base64. */
export async function unpacked(text: string): Promise<Uint8Array> {
  const zipped = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([zipped]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** NIfTI's code. */
const UINT8 = 2;

/**
 * Voxel (x, y, slice) to mm in NIfTI's world, where x grows to the Right, y to Anterior, z to Superior.
 * In the labels x runs from the RV to the lateral wall, y from the anterior wall to the inferior one and slices from base
 * to apex: Right to Left, Anterior to Posterior, Superior to Inferior in the heart's own frame. All three are turned, so
 * that the heart is not mirrored; the volume's middle is the origin.
 */
export function affine({ shape, spacing_mm }: Pick<Slices, "shape" | "spacing_mm">): {
  scale: Triple;
  origin: Triple;
} {
  const [slices, columns, rows] = shape;
  const scale: Triple = [-spacing_mm[0], -spacing_mm[1], -spacing_mm[2]];
  const counts = [columns, rows, slices];
  const origin = scale.map((step, axis) => -0.5 * step * (counts[axis]! - 1)) as Triple;
  return { scale, origin };
}

/** A NIfTI-1 file in memory: NiiVue reads volumes, not arrays. */
export function nifti(volume: Slices): Uint8Array {
  const [slices, columns, rows] = volume.shape;
  const { scale, origin } = affine(volume);
  const matrix = [0, 1, 2].flatMap((row) => [0, 1, 2].map((axis) => (axis === row ? scale[axis]! : 0)).concat(origin[row]!));
  return NVImage.createNiftiArray([columns, rows, slices], volume.spacing_mm, [...matrix, 0, 0, 0, 1], UINT8, columnsFirst(volume));
}

/** The values with x fastest, then y, then the slice, as NIfTI has them. */
export function columnsFirst({ shape, values }: Slices): Uint8Array {
  const [slices, columns, rows] = shape;
  const turned = new Uint8Array(values.length);
  for (let k = 0, at = 0; k < slices; k++) {
    for (let y = 0; y < rows; y++) {
      for (let x = 0; x < columns; x++) turned[at++] = values[(k * columns + x) * rows + y]!;
    }
  }
  return turned;
}
