/** Arrays on the way from the server to the graphics card. */

import type { Slices } from "./api";

/** Bytes of gzipped base64. */
export async function unpacked(text: string): Promise<Uint8Array> {
  const zipped = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([zipped]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const HEADER_BYTES = 352;
const UINT8 = 2;

/**
 * Voxel (x, y, slice) to mm in NIfTI's world, where x grows to the Right, y to Anterior, z to Superior.
 * In the labels x runs from the RV to the lateral wall, y from the anterior wall to the inferior one and slices from base
 * to apex: Right to Left, Anterior to Posterior, Superior to Inferior in the heart's own frame. All three are turned, so
 * that the heart is not mirrored; the volume's middle is the origin.
 */
export function affine({ shape, spacing_mm }: Pick<Slices, "shape" | "spacing_mm">): {
  scale: [number, number, number];
  origin: [number, number, number];
} {
  const [slices, columns, rows] = shape;
  const scale: [number, number, number] = [-spacing_mm[0], -spacing_mm[1], -spacing_mm[2]];
  const counts = [columns, rows, slices];
  const origin = scale.map((step, axis) => -0.5 * step * (counts[axis]! - 1)) as [number, number, number];
  return { scale, origin };
}

/** A NIfTI-1 file in memory: NiiVue reads volumes, not arrays. */
export function nifti(volume: Slices): ArrayBuffer {
  const [slices, columns, rows] = volume.shape;
  const buffer = new ArrayBuffer(HEADER_BYTES + volume.values.length);
  const view = new DataView(buffer);
  const { scale, origin } = affine(volume);
  view.setInt32(0, 348, true);
  [3, columns, rows, slices, 1, 1, 1, 1].forEach((size, index) => view.setInt16(40 + 2 * index, size, true));
  view.setInt16(70, UINT8, true);
  view.setInt16(72, 8, true);
  [1, ...volume.spacing_mm, 1].forEach((step, index) => view.setFloat32(76 + 4 * index, step, true));
  view.setFloat32(108, HEADER_BYTES, true);
  view.setFloat32(112, 1, true);
  view.setUint8(123, 2);
  view.setInt16(254, 1, true);
  for (let axis = 0; axis < 3; axis++) {
    view.setFloat32(280 + 16 * axis + 4 * axis, scale[axis]!, true);
    view.setFloat32(280 + 16 * axis + 12, origin[axis]!, true);
  }
  [0x6e, 0x2b, 0x31, 0].forEach((letter, index) => view.setUint8(344 + index, letter));
  const voxels = new Uint8Array(buffer, HEADER_BYTES);
  for (let k = 0, at = 0; k < slices; k++) {
    for (let y = 0; y < rows; y++) {
      for (let x = 0; x < columns; x++) voxels[at++] = volume.values[(k * columns + x) * rows + y]!;
    }
  }
  return buffer;
}
