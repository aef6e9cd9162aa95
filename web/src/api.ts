/** The server's answers, and the two places they come from: a running server, or a page that holds them itself. */

import type { components } from "./schema";
import { unpacked, type Slices } from "./volumes";

type Schemas = components["schemas"];
export type Atlas = Schemas["AtlasFacts"];
export type Choice = Schemas["Choice"];
export type Latent = Schemas["LatentFacts"];
export type Measure = Schemas["MeasureFacts"];
export type Recipe = Schemas["Recipe"];
/** What was measured on a heart. */
export type Scene = Schemas["SceneFacts"];
export type Spread = Schemas["Spread"];
export type Opened = Schemas["OpenedLine"];
export type Structure = Schemas["StructureFacts"];
export type Phase = Schemas["PaintedPhase"]["phase"];
export type Labels = Record<Phase, Slices>;
export type Point = [number, number];
export const PHASES: readonly Phase[] = ["ED", "ES"];

export interface PaintedImage {
  phase: Phase;
  image: Uint8Array;
}

export interface Moment {
  systole: number;
  labels: Slices;
  image: Uint8Array | null;
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
  labels(choice: Choice): Promise<Labels>;
  scene(choice: Choice): Promise<Scene>;
  images(choice: Choice, signal: AbortSignal): AsyncGenerator<PaintedImage>;
  beat(choice: Choice, images: boolean, signal: AbortSignal): AsyncGenerator<Moment>;
  recipe(choice: Choice): Promise<Recipe>;
  volume(choice: Choice, phase: Phase, kind: "label" | "image"): Promise<Blob>;
  strip(choice: Choice): Promise<Blob>;
  report(): Promise<Blob>;
  /** Opens a patient's NIfTI files; the last line names the source to choose, or says what was wrong. */
  open(files: File[]): AsyncGenerator<Opened>;
}

async function slicesOf({ shape, spacing_mm, labels, world }: Schemas["PhaseLabels"]): Promise<Slices> {
  return { shape, spacing_mm, values: await unpacked(labels), world };
}

async function labelsOf(phases: Schemas["ShapeFacts"]["phases"]): Promise<Labels> {
  const [ED, ES] = await Promise.all([slicesOf(phases.ED), slicesOf(phases.ES)]);
  return { ED, ES };
}

async function imageOf({ phase, image }: Schemas["PaintedPhase"]): Promise<PaintedImage> {
  return { phase, image: await unpacked(image) };
}

async function momentOf(line: Schemas["BeatLine"]): Promise<Moment> {
  const image = line.image === null ? null : await unpacked(line.image);
  return { systole: line.systole, labels: await slicesOf({ ...line, world: null }), image };
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

  atlas = (): Promise<Atlas> => this.json("api/atlas");
  latent = (): Promise<Latent> => this.json("api/latent");
  labels = async (choice: Choice): Promise<Labels> => {
    const { phases } = await this.json<Schemas["ShapeFacts"]>("api/labels", choice);
    return labelsOf(phases);
  };
  scene = (choice: Choice): Promise<Scene> => this.json("api/scene", choice);
  recipe = (choice: Choice): Promise<Recipe> => this.json("api/recipe", choice);
  strip = (choice: Choice): Promise<Blob> => this.blob("api/strip.png", { choice: JSON.stringify(choice) });
  report = (): Promise<Blob> => this.blob("api/report", {});

  volume(choice: Choice, phase: Phase, kind: "label" | "image"): Promise<Blob> {
    return this.blob("api/volume.nii.gz", { choice: JSON.stringify(choice), phase, kind });
  }

  async *images(choice: Choice, signal: AbortSignal): AsyncGenerator<PaintedImage> {
    for await (const line of this.lines<Schemas["PaintedPhase"]>("api/images", choice, signal)) yield imageOf(line);
  }

  async *beat(choice: Choice, images: boolean, signal: AbortSignal): AsyncGenerator<Moment> {
    const lines = this.lines<Schemas["BeatLine"]>(`api/beat?images=${images}`, choice, signal);
    for await (const line of lines) yield momentOf(line);
  }

  async *open(files: File[]): AsyncGenerator<Opened> {
    const parts = JSON.stringify(files.map(({ name, size }) => [name, size]));
    const sent = new Blob(files, { type: "application/octet-stream" });
    yield* this.lines<Opened>(`api/patient?${new URLSearchParams({ files: parts })}`, sent, new AbortController().signal);
  }

  private async fetched(path: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
    const headers: Record<string, string> = {};
    if (this.token !== null) headers["Authorization"] = `Bearer ${this.token}`;
    const raw = body instanceof Blob;
    if (body !== undefined) headers["Content-Type"] = raw ? body.type : "application/json";
    const init: RequestInit = { method: body === undefined ? "GET" : "POST", headers };
    if (body !== undefined) init.body = raw ? body : JSON.stringify(body);
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
  labels: Record<string, Schemas["ShapeFacts"]["phases"]>;
  scenes: Record<string, Scene>;
  images: Record<string, Schemas["PaintedPhase"][]>;
  beats: Record<string, Schemas["BeatLine"][]>;
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

  atlas = (): Promise<Atlas> => Promise.resolve(this.frozen.atlas);
  latent = (): Promise<Latent> => Promise.resolve(this.frozen.latent);
  labels = (choice: Choice): Promise<Labels> => labelsOf(this.looking(this.frozen.labels, choice)!);
  scene = (choice: Choice): Promise<Scene> => Promise.resolve(this.frozen.scenes[this.key(choice)]!);
  recipe = (choice: Choice): Promise<Recipe> => Promise.resolve(this.frozen.recipes[this.key(choice)]!);
  strip = (): Promise<Blob> => Promise.reject(new Problem("a saved page draws no strip"));
  report = (): Promise<Blob> => Promise.reject(new Problem("a saved page holds no report"));
  volume = (): Promise<Blob> => Promise.reject(new Problem("a saved page writes no NIfTI"));
  open = (): AsyncGenerator<Opened> => {
    throw new Problem("a saved page opens no files");
  };

  async *images(choice: Choice): AsyncGenerator<PaintedImage> {
    for (const line of this.looking(this.frozen.images, choice) ?? []) yield imageOf(line);
  }

  async *beat(choice: Choice): AsyncGenerator<Moment> {
    for (const line of this.looking(this.frozen.beats, choice) ?? []) yield momentOf(line);
  }

  /** What a heart looks like; a parent looks the same on its way to any disease. */
  private looking<T>(made: Record<string, T>, choice: Choice): T | undefined {
    return made[this.key(choice)] ?? made[this.frozen.atlas.healthy];
  }

  private key({ target, severity }: Choice): string {
    const distance = (one: number): number => Math.abs(one - severity);
    const nearest = this.severities.reduce((a, b) => (distance(b) <= distance(a) ? b : a));
    const { targets } = this.frozen.atlas;
    return `${targets.includes(target) ? target : targets[0]!}/${nearest}`;
  }
}
