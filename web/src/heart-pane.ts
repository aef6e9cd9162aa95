/** One heart on the screen: its scene, its images as they arrive, its beat, and the canvas that shows them. */

import { Unreachable, type Choice, type Labels, type Moment, type Phase, type Scene, type Source } from "./api";
import type { Drawn, HeartView, Look } from "./heart-view";
import { Cancellable, Latest } from "./latest";
import type { Slices } from "./volumes";

export type Show = Phase | "beat";

const REST_MS = 120;
const NUMBERS_MS = 400;
const RETRY_MS = [1000, 2000, 4000, 8000];

export interface Told {
  /** A scene has come and is on the screen. */
  arrived(scene: Scene): void;
  failed(error: Error): void;
  /** Images are under way, or no longer. */
  working(busy: boolean): void;
}

type Images = Partial<Record<Phase, Uint8Array>>;

export class HeartPane {
  scene: Scene | null = null;
  labels: Labels | null = null;
  images: Images = {};
  /** Labels and images that go with the scene. */
  private whole: { labels: Labels; images: Images } | null = null;
  private show: Show = "ED";
  private told = 0;
  private failures = 0;
  private again: ReturnType<typeof setTimeout> | undefined;
  private other: ((phase: Phase) => Slices | null) | null = null;
  private readonly painting = new Cancellable();
  private readonly beating = new Cancellable();
  private readonly scenes: Latest<Choice>;

  constructor(
    readonly view: HeartView,
    private readonly source: Source,
    private readonly tell: Told,
  ) {
    this.scenes = new Latest((choice) => this.load(choice));
  }

  want(choice: Choice): Promise<void> {
    this.painting.stop();
    this.beating.stop();
    clearTimeout(this.again);
    return this.scenes.want(choice);
  }

  async phase(show: Show): Promise<void> {
    this.show = show;
    this.beating.stop();
    if (show === "beat") await this.beat();
    else await this.draw();
  }

  restyle(look: Look): void {
    this.view.restyle(look);
  }

  /** Marks where the labels differ from another heart's; null marks nothing. */
  async differ(other: ((phase: Phase) => Slices | null) | null): Promise<void> {
    this.other = other;
    if (this.show !== "beat") await this.draw();
  }

  private async load(choice: Choice): Promise<void> {
    try {
      const labels = await this.source.labels(choice);
      this.labels = labels;
      this.images = {};
      if (this.show !== "beat") await this.draw();
      // While the hand moves on, numbers are asked for now and then only: labels go first.
      if (this.scenes.wanted && performance.now() - this.told < NUMBERS_MS) return;
      this.scene = await this.source.scene(choice);
      this.whole = { labels, images: this.images };
      this.told = performance.now();
    } catch (error) {
      await this.back();
      this.fail(choice, error as Error);
      return;
    }
    this.failures = 0;
    this.tell.arrived(this.scene);
    void this.paint(choice);
  }

  /** Picture and numbers are of one heart: where the new one's numbers do not come, the last one's picture does. */
  private async back(): Promise<void> {
    if (this.whole === null) return;
    this.labels = this.whole.labels;
    this.images = this.whole.images;
    await this.draw();
  }

  /** Says so, and tries again by itself where that may help and nothing newer is wanted. */
  private fail(choice: Choice, error: Error): void {
    this.tell.working(false);
    this.tell.failed(error);
    if (!(error instanceof Unreachable) || this.scenes.wanted) return;
    clearTimeout(this.again);
    const wait = RETRY_MS[Math.min(this.failures++, RETRY_MS.length - 1)];
    this.again = setTimeout(() => void this.want(choice), wait);
  }

  private async paint(choice: Choice): Promise<void> {
    const signal = this.painting.begin();
    this.tell.working(true);
    // A hand that is still moving would have to wait behind the painting of where it was.
    await new Promise((rested) => setTimeout(rested, REST_MS));
    if (signal.aborted || this.scenes.wanted) return;
    try {
      for await (const { phase, image } of this.source.images(choice, signal)) {
        if (signal.aborted) return;
        this.images[phase] = image;
        if (phase === this.show) await this.draw();
      }
      this.tell.working(false);
      if (this.show === "beat") await this.beat();
    } catch (error) {
      if (!signal.aborted) this.fail(choice, error as Error);
    }
  }

  private async draw(): Promise<void> {
    if (this.labels === null || this.show === "beat") return;
    const phase = this.show;
    const labels = this.labels[phase];
    const other = this.other?.(phase)?.values ?? null;
    this.view.show(await this.view.made({ labels, image: this.images[phase] ?? null, other }));
  }

  /** Collects the moments between the phases, labels first and images after, and plays them there and back. */
  private async beat(): Promise<void> {
    if (this.scene === null) return;
    const signal = this.beating.begin();
    const { choice } = this.scene;
    const moments: Drawn[] = [];
    void this.play(moments, signal);
    try {
      for (const images of [false, true]) {
        let index = 0;
        for await (const moment of this.source.beat(choice, images, signal)) {
          if (signal.aborted) return;
          moments[index++] = await this.ready(moment);
        }
        if (!this.source.live) return;
      }
    } catch (error) {
      if (!signal.aborted) this.fail(choice, error as Error);
    }
  }

  private ready(moment: Moment): Promise<Drawn> {
    const image = moment.image ?? this.faded(moment.systole);
    return this.view.made({ labels: moment.labels, image, other: null });
  }

  /** Until a moment is painted, and where none is, its image is the two phases' laid over one another. */
  private faded(systole: number): Uint8Array | null {
    const { ED, ES } = this.images;
    if (ED === undefined || ES === undefined) return null;
    return ED.map((grey, at) => Math.round((1 - systole) * grey + systole * ES[at]!));
  }

  private async play(moments: Drawn[], signal: AbortSignal): Promise<void> {
    const period = 1100;
    let last: Drawn | undefined;
    while (!signal.aborted) {
      await new Promise(requestAnimationFrame);
      if (moments.length === 0) continue;
      const turn = (performance.now() % period) / period;
      const systole = 0.5 - 0.5 * Math.cos(2 * Math.PI * turn);
      const moment = moments[Math.round(systole * (moments.length - 1))];
      if (moment !== undefined && moment !== last && !signal.aborted) this.view.show(moment);
      last = moment;
    }
  }
}
