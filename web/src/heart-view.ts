/** One heart on one canvas: short axis, two long axes and the surfaces, linked by a crosshair. NiiVue draws. */

import { Niivue, NVImage, NVMesh, SLICE_TYPE } from "@niivue/niivue";

import type { Atlas } from "./api";
import { rgb } from "./colours";
import { el } from "./elements";
import { marks, type Tile } from "./view-marks";
import { surface } from "./surface";
import { nifti, type Slices } from "./volumes";

export const LAYOUTS = { all: "all, linked", short: "short axis", long: "long axis", surface: "surfaces" } as const;
export type Layout = keyof typeof LAYOUTS;
export type Place3 = [number, number, number];

/** What is drawn: labels, an image on the same grid, and labels of another heart to differ from. */
export interface Picture {
  labels: Slices;
  image: Uint8Array | null;
  other: Uint8Array | null;
}

export interface Look {
  opacity: number;
  /** Grey values that are black and white, of 0 to 255. */
  window: [number, number];
  layout: Layout;
}

type Place = { sliceType: SLICE_TYPE; position: [number, number, number, number] };

export interface Drawn {
  labels: Slices;
  volumes: NVImage[];
  meshes: NVMesh[];
}

export class HeartView {
  readonly nv: Niivue;
  private look: Look = { opacity: 0.35, window: [0, 255], layout: "all" };
  private placed = false;
  private drawn: Slices | null = null;
  private wanted: Place3 | null = null;
  private linked: HeartView | null = null;
  private readonly over = el("div", { class: "over" });

  constructor(
    readonly canvas: HTMLCanvasElement,
    private readonly atlas: Atlas,
  ) {
    this.nv = new Niivue({
      backColor: [0.06, 0.065, 0.08, 1],
      crosshairColor: [1, 0.85, 0.2, 0.9],
      crosshairWidth: 1,
      show3Dcrosshair: true,
      isColorbar: false,
      isOrientationTextVisible: false,
      isClipAllVolumes: true,
      isNearestInterpolation: false,
      meshThicknessOn2D: 0,
      dragAndDropEnabled: false,
      loadingText: "",
      logLevel: "error",
      isSliceMM: true,
      // The heart's right, where the RV is, stands on the screen's left, as in every short-axis picture.
      isRadiologicalConvention: true,
      sagittalNoseLeft: true,
    });
  }

  async attach(): Promise<this> {
    await this.nv.attachToCanvas(this.canvas, true);
    this.canvas.after(this.over);
    this.nv.onLocationChange = () => this.mark();
    this.nv.setRenderAzimuthElevation(150, 20);
    this.nv.setScale(1.3);
    return this;
  }

  /** Readies a picture for the screen; the beat readies all of its moments beforehand. */
  async made(picture: Picture): Promise<Drawn> {
    const { labels, image, other } = picture;
    const grey = { ...labels, values: image ?? new Uint8Array(labels.values.length) };
    const overlay = other === null ? labels : { ...labels, values: marked(labels.values, other, differenceCode(this.atlas)) };
    const volumes = await Promise.all([
      loaded(grey, "image", "gray"),
      loaded(overlay, "labels", "red"),
    ]);
    volumes[1].setColormapLabel(labelColours(this.atlas));
    return { labels, volumes, meshes: this.meshes(labels) };
  }

  show(drawn: Drawn): void {
    const { nv, look } = this;
    nv.volumes = drawn.volumes;
    nv.back = drawn.volumes[0] ?? null;
    nv.overlays = drawn.volumes.slice(1);
    nv.meshes = drawn.meshes;
    this.drawn = drawn.labels;
    this.dress();
    nv.updateGLVolume();
    if (!this.placed) {
      nv.scene.crosshairPos = this.wanted ?? middleOf(drawn.labels, this.atlas.centre);
      this.placed = true;
      this.linked?.go(this.position);
      this.lay(look.layout);
    } else {
      // Another heart has another length: the views have moved.
      requestAnimationFrame(() => this.mark());
    }
  }

  restyle(look: Look): void {
    const again = look.layout !== this.look.layout;
    this.look = look;
    if (!this.placed) return;
    this.dress();
    if (again) this.lay(look.layout);
    this.nv.updateGLVolume();
  }

  /** To be called when the canvas has another size. */
  resized(): void {
    if (this.placed) this.lay(this.look.layout);
  }

  /** Moves the crosshair by voxels: columns, rows, slices. */
  step(columns: number, rows: number, slices: number): void {
    this.nv.moveCrosshairInVox(-columns, -rows, -slices);
  }

  /** Where the crosshair is, as shares of the volume: to the Right, Anterior, and from the apex to the base. */
  get position(): Place3 {
    return [...this.nv.scene.crosshairPos] as Place3;
  }

  /**
   * Links the crosshairs and the surfaces' camera. Hearts differ in length, so slices are linked by their level, the share
   * of the length, as the labels are compared; the canvas in use leads.
   */
  link(other: HeartView): void {
    const follow = (leader: HeartView, follower: HeartView): void => {
      leader.nv.broadcastTo(follower.nv, { "2d": false, "3d": true });
      leader.nv.onLocationChange = () => {
        leader.mark();
        if (leader.canvas.matches(":focus")) follower.go(leader.position);
      };
    };
    follow(this, other);
    follow(other, this);
    this.linked = other;
    if (this.placed) other.go(this.position);
  }

  private go(position: Place3): void {
    this.wanted = position;
    if (!this.placed || position.every((share, axis) => share === this.nv.scene.crosshairPos[axis])) return;
    this.nv.scene.crosshairPos = position;
    this.nv.drawScene();
    this.mark();
  }

  private mark(): void {
    if (this.drawn === null) return;
    const [slices] = this.drawn.shape;
    const slice = Math.min(slices, 1 + Math.floor((1 - this.nv.scene.crosshairPos[2]) * slices));
    const ratio = this.canvas.width / this.canvas.clientWidth;
    const tiles = this.nv.screenSlices.map(({ axCorSag, leftTopWidthHeight, fovMM }): Tile => {
      const [left, top, width, height] = leftTopWidthHeight.map((pixels) => pixels / ratio);
      return { view: axCorSag, left: left!, top: top!, width: width!, height: height!, mm: Math.abs(fovMM[0]!) };
    });
    this.over.replaceChildren(...marks(tiles, slice, slices, this.drawn.world));
  }

  private dress(): void {
    const [image, labels] = this.nv.volumes;
    if (image === undefined || labels === undefined) return;
    [image.cal_min, image.cal_max] = this.look.window;
    labels.opacity = this.look.opacity;
  }

  /** Places the views; a canvas that is taller than wide has them in a column. */
  private lay(layout: Layout): void {
    const { AXIAL, CORONAL, SAGITTAL, RENDER, MULTIPLANAR } = SLICE_TYPE;
    const tall = this.canvas.clientHeight > 1.15 * this.canvas.clientWidth;
    const single = { short: AXIAL, long: CORONAL, surface: RENDER } as const;
    const grid: Place[] = [
      { sliceType: AXIAL, position: tall ? [0, 0, 1, 0.42] : [0, 0, 0.5, 0.56] },
      { sliceType: RENDER, position: tall ? [0, 0.74, 1, 0.26] : [0.5, 0, 0.5, 0.56] },
      { sliceType: CORONAL, position: tall ? [0, 0.42, 1, 0.32] : [0, 0.56, 0.5, 0.44] },
      ...(tall ? [] : [{ sliceType: SAGITTAL, position: [0.5, 0.56, 0.5, 0.44] } as Place]),
    ];
    this.nv.clearCustomLayout();
    if (layout === "all") {
      this.nv.setSliceType(MULTIPLANAR);
      this.nv.setCustomLayout(grid);
    } else {
      this.nv.setSliceType(single[layout]);
    }
    // The image would hide the surfaces in 3D, so it is cut away there.
    this.nv.setClipPlane([-2, 0, 0]);
    requestAnimationFrame(() => this.mark());
  }

  private meshes(labels: Slices): NVMesh[] {
    const found: NVMesh[] = [];
    for (const { code, name, colour, opacity } of this.atlas.structures) {
      const made = surface(labels, code);
      if (made === null) continue;
      const rgba = new Uint8Array([...rgb(colour), 255]);
      found.push(new NVMesh(made.points, made.triangles, name, rgba, opacity, true, this.nv.gl));
    }
    return found;
  }
}

/** A structure's centre in the middle one of its slices, as shares of the turned volume. */
function middleOf({ shape, values }: Slices, code: number): Place3 {
  const [slices, columns, rows] = shape;
  const places: Place3[] = [];
  values.forEach((label, at) => {
    if (label === code) places.push([Math.floor(at / (columns * rows)), Math.floor(at / rows) % columns, at % rows]);
  });
  if (places.length === 0) return [0.5, 0.5, 0.5];
  const middle = Math.floor((places[0]![0] + places.at(-1)![0]) / 2);
  const level = places.filter(([slice]) => slice === middle);
  const mean = (axis: 1 | 2): number => level.reduce((sum, place) => sum + place[axis], 0) / (level.length || 1);
  return [1 - (mean(1) + 0.5) / columns, 1 - (mean(2) + 0.5) / rows, 1 - (middle + 0.5) / slices];
}

/** The first code that no structure has. */
function differenceCode({ structures }: Atlas): number {
  return 1 + Math.max(...structures.map(({ code }) => code));
}

function labelColours(atlas: Atlas): { R: number[]; G: number[]; B: number[]; A: number[]; I: number[]; labels: string[] } {
  const named = [...atlas.structures, { code: differenceCode(atlas), name: "differs", colour: atlas.difference_colour }];
  const channel = (index: 0 | 1 | 2): number[] => [0, ...named.map(({ colour }) => rgb(colour)[index])];
  return {
    R: channel(0),
    G: channel(1),
    B: channel(2),
    A: [0, ...named.map(() => 255)],
    I: [0, ...named.map(({ code }) => code)],
    labels: ["", ...named.map(({ name }) => name)],
  };
}

/** Labels where two hearts agree, another code where they do not. */
function marked(labels: Uint8Array, other: Uint8Array, differs: number): Uint8Array {
  return labels.map((label, at) => (label === other[at] ? label : differs));
}

async function loaded(volume: Slices, name: string, colormap: string): Promise<NVImage> {
  return NVImage.loadFromUrl({
    url: `${name}.nii`,
    name: `${name}.nii`,
    buffer: nifti(volume).buffer as ArrayBuffer,
    colormap,
    cal_min: 0,
    cal_max: 255,
    trustCalMinMax: false,
  });
}
