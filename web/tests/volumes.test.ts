import { gzipSync } from "node:zlib";

import { NVImage } from "@niivue/niivue";
import { describe, expect, test } from "vitest";

import { affine, columnsFirst, nifti, unpacked, type Slices } from "../src/volumes";

/** Two slices of three columns and four rows, each value its place in the (slice, x, y) order. */
const volume: Slices = { shape: [2, 3, 4], spacing_mm: [1.5, 1.25, 8], world: null, values: Uint8Array.from({ length: 24 }, (_, at) => at) };

describe("unpacked", () => {
  test("gives back what was gzipped", async () => {
    const bytes = Uint8Array.from({ length: 1000 }, (_, at) => (at * 7) % 256);
    expect(await unpacked(gzipSync(bytes).toString("base64"))).toEqual(bytes);
  });

  test("fails on what was not", async () => {
    await expect(unpacked(btoa("no gzip at all"))).rejects.toThrow();
  });
});

describe("affine", () => {
  test("turns all three axes, so that the heart is not mirrored", () => {
    const { scale } = affine(volume);
    expect(scale).toEqual([-1.5, -1.25, -8]);
    expect(Math.sign(scale[0] * scale[1] * scale[2])).toBe(-1);
  });

  test("has the volume's middle at the origin", () => {
    const { scale, origin } = affine(volume);
    const [slices, columns, rows] = volume.shape;
    const middle = [columns, rows, slices].map((count, axis) => origin[axis]! + scale[axis]! * 0.5 * (count - 1));
    middle.forEach((mm) => expect(mm).toBeCloseTo(0));
  });

  test("puts the first voxel on the right, in front and above", () => {
    const { origin } = affine(volume);
    expect(origin).toEqual([1.5, 1.875, 4]);
  });
});

describe("nifti", () => {
  test("has x fastest, then y, then the slice", () => {
    const turned = columnsFirst(volume);
    const [, columns, rows] = volume.shape;
    for (const [x, y, k] of [[0, 0, 0], [2, 0, 0], [0, 3, 0], [1, 2, 1], [2, 3, 1]] as const) {
      expect(turned[(k * rows + y) * columns + x]).toBe(volume.values[(k * columns + x) * rows + y]);
    }
  });

  test("is read by NiiVue with its size, spacing, affine and values", async () => {
    const file = nifti(volume);
    const image = await NVImage.loadFromUrl({ url: "v.nii", name: "v.nii", buffer: file.slice().buffer });
    expect(Array.from(image.hdr!.dims.slice(1, 4))).toEqual([3, 4, 2]);
    expect(Array.from(image.hdr!.pixDims.slice(1, 4))).toEqual([1.5, 1.25, 8]);
    expect(image.hdr!.affine).toEqual([[-1.5, 0, 0, 1.5], [0, -1.25, 0, 1.875], [0, 0, -8, 4], [0, 0, 0, 1]]);
    expect(new Uint8Array(image.img!.buffer as ArrayBuffer, image.img!.byteOffset, 24)).toEqual(columnsFirst(volume));
  });
});
