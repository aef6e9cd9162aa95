/** The server's answers, and the two places they come from: a running server, or a page that holds them itself. */

import { unpacked } from "./arrays";

export type Phase = "ED" | "ES";
export const PHASES: readonly Phase[] = ["ED", "ES"];
export const HEALTHY = "NOR";

export interface Choice {
  source: string;
  target: string;
  sampler: string;
  seed: number;
  version: number;
  severity: number;
  /** Added to every slice's codes, in standard deviations by latent dimension. */
  shift: number[];
}

export interface Spread {
  mean: number;
  sd: number;
  n: number;
}

export interface Atlas {
  name: string;
  /** What the reference hearts are. */
  kind?: "patients" | "phantom" | "unknown";
  notice: string | null;
  groups: Record<string, { name: string; colour: string; n: number }>;
  targets: string[];
  sources: string[];
  samplers: string[];
  hearts: Record<string, Choice>;
  latent_sd: number[];
  size: number;
  images: boolean;
  report: boolean;
  reference: Record<string, Record<string, Spread>>;
  smooth: Record<string, [number, number]>;
}

type Triple = [number, number, number];
export type Point = [number, number];

/** A volume in (slice, x, y) order, with the distances between pixels, pixels and slices in mm. */
export interface Slices {
  shape: Triple;
  spacing_mm: Triple;
  values: Uint8Array;
}

export interface PhaseScene {
  labels: Slices;
  invalid_slices: number;
  slices: number;
  aha_mm: Record<string, number | null>;
}

export interface Scene {
  choice: Choice;
  phases: Record<Phase, PhaseScene>;
  measures: Record<string, number | null>;
  smooth: Record<string, number | null>;
  failures: Record<string, boolean>;
  place: Point;
}

export interface Moment {
  systole: number;
  labels: Slices;
  image: Uint8Array | null;
}

export interface Latent {
  explained: number[];
  ellipses: Record<string, { centre: Point; covariance: [Point, Point] }>;
  subjects: { id: string; group: string; place: Point }[];
  kendall: Record<string, Record<Phase, number[][]>>;
}

export interface Recipe {
  command: string | null;
  python: string;
  provenance: Record<string, unknown>;
}

/** Arrays are text on the way. */
interface WirePhase extends Omit<PhaseScene, "labels"> {
  shape: Triple;
  spacing_mm: Triple;
  labels: string;
}
type WireSlices = Pick<WirePhase, "shape" | "spacing_mm" | "labels">;
type WireScene = Omit<Scene, "phases"> & { phases: Record<Phase, WirePhase> };
interface WirePainted {
  phase: Phase;
  image: string;
}
interface WireMoment {
  systole: number;
  shape: Triple;
  spacing_mm: Triple;
  labels: string;
  image: string | null;
}

export interface Source {
  /** False where only what was computed beforehand can be shown. */
  readonly live: boolean;
  /** Severities that can be shown; null for all. */
  readonly severities: number[] | null;
  /** The heart that can be shown which is nearest to a choice. */
  nearest(choice: Choice): Choice;
  atlas(): Promise<Atlas>;
  latent(): Promise<Latent>;
  labels(choice: Choice): Promise<Record<Phase, Slices>>;
  scene(choice: Choice): Promise<Scene>;
  images(choice: Choice, signal: AbortSignal): AsyncGenerator<{ phase: Phase; image: Uint8Array }>;
  beat(choice: Choice, images: boolean, signal: AbortSignal): AsyncGenerator<Moment>;
  recipe(choice: Choice): Promise<Recipe>;
  volume(choice: Choice, phase: Phase, kind: "label" | "image"): Promise<Blob>;
  strip(choice: Choice): Promise<Blob>;
  report(): Promise<Blob>;
}

async function sceneOf(wire: WireScene): Promise<Scene> {
  const [ed, es] = await Promise.all(
    PHASES.map(async (phase): Promise<PhaseScene> => {
      const { shape, spacing_mm, labels, ...facts } = wire.phases[phase];
      return { ...facts, labels: { shape, spacing_mm, values: await unpacked(labels) } };
    }),
  );
  return { ...wire, phases: { ED: ed!, ES: es! } };
}

async function labelsOf({ phases }: { phases: Record<Phase, WireSlices> }): Promise<Record<Phase, Slices>> {
  const [ed, es] = await Promise.all(
    PHASES.map(async (phase): Promise<Slices> => {
      const { shape, spacing_mm, labels } = phases[phase];
      return { shape, spacing_mm, values: await unpacked(labels) };
    }),
  );
  return { ED: ed!, ES: es! };
}

/** A server that answered with a problem, in its own words. */
export class Problem extends Error {}

/** A problem that passes: the server does not answer, or has too much to do. Worth another try. */
export class Unreachable extends Problem {}

/** The server asks for its token, or for another one. */
export class Unauthorised extends Problem {}

const BUSY = [502, 503, 504];

export class ServerSource implements Source {
  readonly live = true;
  readonly severities = null;
  nearest = (choice: Choice): Choice => choice;

  constructor(private readonly token: string | null) {}

  atlas = (): Promise<Atlas> => this.json<Atlas>("api/atlas");
  latent = (): Promise<Latent> => this.json<Latent>("api/latent");
  labels = async (choice: Choice): Promise<Record<Phase, Slices>> => labelsOf(await this.json<WireScene>("api/labels", choice));
  scene = async (choice: Choice): Promise<Scene> => sceneOf(await this.json<WireScene>("api/scene", choice));
  recipe = (choice: Choice): Promise<Recipe> => this.json<Recipe>("api/recipe", choice);
  strip = (choice: Choice): Promise<Blob> => this.blob("api/strip.png", { choice: JSON.stringify(choice) });
  report = (): Promise<Blob> => this.blob("api/report", {});

  volume(choice: Choice, phase: Phase, kind: "label" | "image"): Promise<Blob> {
    return this.blob("api/volume.nii.gz", { choice: JSON.stringify(choice), phase, kind });
  }

  async *images(choice: Choice, signal: AbortSignal): AsyncGenerator<{ phase: Phase; image: Uint8Array }> {
    for await (const line of this.lines<WirePainted>("api/images", choice, signal)) {
      yield { phase: line.phase, image: await unpacked(line.image) };
    }
  }

  async *beat(choice: Choice, images: boolean, signal: AbortSignal): AsyncGenerator<Moment> {
    for await (const line of this.lines<WireMoment>(`api/beat?images=${images}`, choice, signal)) {
      const { systole, shape, spacing_mm, labels, image } = line;
      yield {
        systole,
        labels: { shape, spacing_mm, values: await unpacked(labels) },
        image: image === null ? null : await unpacked(image),
      };
    }
  }

  private async fetched(path: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
    const headers: Record<string, string> = {};
    if (this.token !== null) headers["Authorization"] = `Bearer ${this.token}`;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    const init: RequestInit = { method: body === undefined ? "GET" : "POST", headers };
    if (body !== undefined) init.body = JSON.stringify(body);
    if (signal !== undefined) init.signal = signal;
    const response = await reached(fetch(path, init), signal);
    if (response.ok) return response;
    const words = await wordsOf(response);
    if (response.status === 401) throw new Unauthorised(words);
    throw BUSY.includes(response.status) ? new Unreachable(words) : new Problem(words);
  }

  private async json<T>(path: string, body?: unknown): Promise<T> {
    return (await this.fetched(path, body)).json() as Promise<T>;
  }

  private async blob(path: string, query: Record<string, string>): Promise<Blob> {
    return (await this.fetched(`${path}?${new URLSearchParams(query)}`)).blob();
  }

  private async *lines<T>(path: string, body: unknown, signal: AbortSignal): AsyncGenerator<T> {
    const response = await this.fetched(path, body, signal);
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reached(reader.read(), signal);
      const parts = (rest + (value ?? "")).split("\n");
      rest = parts.pop() ?? "";
      for (const part of parts) yield JSON.parse(part) as T;
      if (done) return;
    }
  }
}

/** What the network gives, or `Unreachable` where it gives nothing; an abandoned wait keeps its own error. */
async function reached<T>(waiting: Promise<T>, signal?: AbortSignal): Promise<T> {
  try {
    return await waiting;
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Unreachable("the server does not answer");
  }
}

async function wordsOf(response: Response): Promise<string> {
  try {
    const { detail } = (await response.json()) as { detail: unknown };
    if (typeof detail === "string") return detail;
    return (detail as { loc: string[]; msg: string }[]).map((d) => `${d.loc.at(-1)}: ${d.msg}`).join("; ");
  } catch {
    return `the server answered ${response.status}`;
  }
}

/** What `cardiomorph view --export` writes into the page. */
export interface Frozen {
  atlas: Atlas;
  latent: Latent;
  severities: number[];
  scenes: Record<string, WireScene>;
  images: Record<string, WirePainted[]>;
  beats: Record<string, WireMoment[]>;
  recipes: Record<string, Recipe>;
}

/** A page that opens from disk: the nearest of the hearts that were computed beforehand. */
export class FrozenSource implements Source {
  readonly live = false;
  readonly severities: number[];

  constructor(private readonly frozen: Frozen) {
    this.severities = frozen.severities;
  }

  nearest(choice: Choice): Choice {
    return this.frozen.scenes[this.key(choice)]!.choice;
  }

  atlas = async (): Promise<Atlas> => this.frozen.atlas;
  latent = async (): Promise<Latent> => this.frozen.latent;
  labels = async (choice: Choice): Promise<Record<Phase, Slices>> => labelsOf(this.frozen.scenes[this.key(choice)]!);
  scene = async (choice: Choice): Promise<Scene> => sceneOf(this.frozen.scenes[this.key(choice)]!);
  recipe = async (choice: Choice): Promise<Recipe> => this.frozen.recipes[this.key(choice)]!;
  strip = (): Promise<Blob> => Promise.reject(new Problem("a saved page draws no strip"));
  report = (): Promise<Blob> => Promise.reject(new Problem("a saved page holds no report"));
  volume = (): Promise<Blob> => Promise.reject(new Problem("a saved page writes no NIfTI"));

  async *images(choice: Choice): AsyncGenerator<{ phase: Phase; image: Uint8Array }> {
    for (const { phase, image } of this.looking(this.frozen.images, choice)) {
      yield { phase, image: await unpacked(image) };
    }
  }

  async *beat(choice: Choice): AsyncGenerator<Moment> {
    for (const { systole, shape, spacing_mm, labels, image } of this.looking(this.frozen.beats, choice)) {
      yield {
        systole,
        labels: { shape, spacing_mm, values: await unpacked(labels) },
        image: image === null ? null : await unpacked(image),
      };
    }
  }

  /** What a heart looks like; a parent looks the same on its way to any disease. */
  private looking<T>(made: Record<string, T[]>, choice: Choice): T[] {
    return made[this.key(choice)] ?? made[HEALTHY] ?? [];
  }

  private key({ target, severity }: Choice): string {
    const distance = (one: number): number => Math.abs(one - severity);
    const nearest = this.severities.reduce((a, b) => (distance(b) <= distance(a) ? b : a));
    const { targets } = this.frozen.atlas;
    return `${targets.includes(target) ? target : targets[0]!}/${nearest}`;
  }
}
