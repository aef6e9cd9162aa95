/** The page: what is chosen, who is told, and in which order. */

import { PHASES, Unreachable, type Atlas, type Choice, type Latent, type Opened, type Scene, type Source } from "./api";
import { bullseye, shade } from "./bullseye";
import { colourBar } from "./colour-bar";
import { CROP, controls, type Controls } from "./controls";
import { el, save } from "./elements";
import { Latest } from "./latest";
import { number, percent } from "./format";
import { HeartView, type Look } from "./heart-view";
import { checks, legend, measures } from "./measurements";
import { latentPanel, type LatentPanel } from "./latent-panel";
import { HeartPane } from "./heart-pane";
import { tabs, type Tabs } from "./tabs";
import { downloads, nameOf, recipeText } from "./downloads";
import { ALONE, comparedWith, comparisons } from "./comparison";
import { read, TABS, write, type How, type State, type Tab } from "./url-state";

const PLAY_MS = 5000;
const MILD = 0.5;

export class App {
  private state: State;
  private look: Omit<Look, "layout"> = { opacity: 0.35, window: [0, 255] };
  private parent: Scene | null = null;
  private end: Scene | null = null;
  private endsOf = "";
  private playing = false;
  private readonly controls: Controls;
  private readonly latent: LatentPanel;
  private readonly tabs: Tabs;
  private readonly status = el("p", { class: "status", role: "status", "aria-live": "polite" });
  private readonly problem = el("p", { class: "problem", role: "alert", hidden: true });
  private readonly remark = el("p", { class: "remark", role: "status", hidden: true });
  private readonly differs: HTMLElement;
  private readonly pictures = el("section", { class: "pictures", "aria-label": "Pictures" });
  private readonly ends = new Latest<Choice>((choice) => this.loadEnds(choice));
  private readonly recipes = new Latest<Choice>(async (choice) => this.showRecipe(choice));
  private readonly recipe = el("div", { class: "recipe" });
  first!: HeartPane;
  second: HeartPane | null = null;

  constructor(private readonly root: HTMLElement, private readonly source: Source, private readonly atlas: Atlas, latent: Latent) {
    this.differs = el("li", { hidden: true }, swatch(atlas.difference_colour), "labels differ");
    this.state = this.asked();
    this.controls = controls(atlas, source, this.state, this.look, {
      choose: (change, how) => void this.choose(change, how),
      play: () => void this.play(),
      show: (show) => this.decide({ show }),
      layout: (layout) => this.decide({ layout }),
      look: (look) => this.restyle((this.look = look)),
      open: (files) => void this.open(files),
      against: (versus) => this.decide({ versus }),
      differ: (differing) => this.decide({ differing }),
    });
    this.latent = latentPanel(atlas, latent, source.live, (shift, how) => void this.choose({ shift }, how));
    this.tabs = tabs(TABS, "Facts", (tab) => this.decide({ tab: tab as Tab }));
    this.tabs.panel("Latent space").append(this.latent.panel);
    this.tabs.panel("Export").append(
      el("h2", {}, "Download"),
      downloads(source, atlas.images, () => this.state.choice, (words) => this.complain(words)),
      el("h2", {}, "Reproduce this heart"),
      this.recipe,
    );
  }

  async start(): Promise<void> {
    this.root.append(this.header(), el("main", {}, this.controls.panel, this.centre(), this.tabs.element));
    this.first = await this.pane("Heart");
    this.keys();
    addEventListener("popstate", () => void this.restore(this.asked()));
    await this.restore(this.state);
    this.tellOfOpened();
    document.body.dataset["ready"] = "true";
  }

  /** What the models make of a patient who was opened just now. */
  private tellOfOpened(): void {
    const said = sessionStorage.getItem("opened");
    if (said === null) return;
    sessionStorage.removeItem("opened");
    this.remark.textContent = said;
    this.remark.hidden = false;
  }

  /** What the address asks for, as far as it can be shown, over what the page opens with. */
  private asked(): State {
    const plain: Choice = {
      source: this.atlas.sources[0]!, target: this.atlas.targets[0]!, sampler: Object.keys(this.atlas.samplers)[0]!,
      seed: 0, version: 1, severity: MILD, slices: "32", styles: "slice", field: "heart", shift: [],
    };
    const { choice, ...rest } = read();
    const wanted = this.fitting({ ...plain, ...Object.values(this.atlas.hearts)[0], ...choice });
    const nearest = this.source.nearest(wanted);
    this.tellWhatIsMissing(choice ?? {}, nearest);
    const state: State = { show: "ED", layout: "all", tab: TABS[0], versus: ALONE, differing: false, ...rest, choice: nearest };
    return state.versus in comparisons(this.atlas, this.source.live) ? state : { ...state, versus: ALONE };
  }

  /** Only a patient whose whole image is there has a full field. */
  private fitting(choice: Choice): Choice {
    return choice.field === "heart" || this.atlas.scanned.includes(choice.source) ? choice : { ...choice, ...CROP };
  }

  /** A saved page holds one heart: a link to another must not show its name over this one. */
  private tellWhatIsMissing(asked: Partial<Choice>, shown: Choice): void {
    const fields = Object.keys(asked) as (keyof Choice)[];
    const others = fields.filter((field) => field in shown && JSON.stringify(asked[field]) !== JSON.stringify(shown[field]));
    this.remark.hidden = others.length === 0;
    const [wanted, instead] = [asked, shown].map((one) => others.map((field) => `${field} ${String(one[field])}`).join(", "));
    this.remark.textContent = `This page holds one heart only, ${shown.source}. The link asks for ${wanted}; shown is ${instead}.`;
  }

  private header(): HTMLElement {
    const theme = el("button", { type: "button", title: "Light or dark" }, "◐ Theme");
    theme.addEventListener("click", () => {
      const dark = getComputedStyle(document.documentElement).colorScheme === "dark";
      document.documentElement.style.colorScheme = dark ? "light" : "dark";
    });
    const report = el("button", { type: "button", click: () => void this.openReport() }, "Report");
    const api = el("a", { href: "docs", target: "_blank", rel: "noopener" }, "API");
    return el(
      "header",
      {},
      el("h1", {}, "Cardiomorph"),
      el("p", { class: "what" }, `atlas ${this.atlas.name}; synthetic hearts for research, not for clinical use`),
      ...(this.atlas.report && this.source.live ? [report] : []),
      ...(this.source.live ? [api] : []),
      theme,
    );
  }

  private centre(): HTMLElement {
    const keys = this.atlas.structures.map(({ name, colour }) => el("li", {}, swatch(colour), name));
    const shot = el("button", { type: "button", click: () => this.snapshot() }, "Save picture");
    return el(
      "div",
      { class: "centre" },
      this.pictures,
      el("div", { class: "foot" }, el("ul", { class: "legend" }, ...keys, this.differs), this.status, shot),
      this.remark,
      this.problem,
      ...(this.atlas.notice ? [el("p", { class: "notice" }, this.atlas.notice)] : []),
    );
  }

  private async pane(name: string): Promise<HeartPane> {
    const canvas = el("canvas", { tabindex: 0, role: "img", "aria-label": `${name}: short axis, long axes and surfaces. Arrow keys move the crosshair, page up and down change the slice.` });
    const caption = el("p", { class: "caption" });
    const views = el("div", { class: "views" }, canvas);
    const element = el("div", { class: "pane" }, caption, views);
    this.pictures.append(element);
    const view = await new HeartView(canvas, this.atlas).attach();
    new ResizeObserver(() => view.resized()).observe(views);
    const pane = new HeartPane(view, this.source, {
      arrived: (scene) => {
        caption.title = caption.textContent = `${name === "Heart" ? "Heart" : "Compared with"}: ${captionOf(scene.choice)}`;
        this.arrived();
      },
      failed: (error) => this.failed(error),
      working: (busy) => element.classList.toggle("painting", busy),
    });
    pane.restyle({ ...this.look, layout: this.state.layout });
    await pane.phase(this.state.show);
    return pane;
  }

  private async choose(change: Partial<Choice>, how: How = "done"): Promise<void> {
    this.state = { ...this.state, choice: this.source.nearest(this.fitting({ ...this.state.choice, ...change })) };
    this.remark.hidden = true;
    write(this.state, how);
    await this.load();
  }

  /** Both hearts of the state, and every control set to what is wanted. */
  private async load(): Promise<void> {
    const { choice, versus } = this.state;
    this.controls.follow(this.state);
    this.latent.follow(choice);
    this.problem.hidden = true;
    const other = comparedWith(choice, versus);
    if (other !== null) void this.second?.want(other);
    await this.first.want(choice);
  }

  /** A deliberate act on how the heart is looked at. */
  private decide(change: Partial<Omit<State, "choice">>): void {
    const before = this.state;
    this.state = { ...before, ...change };
    write(this.state, "done");
    void this.apply(before);
  }

  private async restore(state: State): Promise<void> {
    const before = this.state;
    this.state = state;
    write(state, "restored");
    await Promise.all([this.apply(before), this.load()]);
  }

  private async apply(before: State): Promise<void> {
    const { show, tab, versus, differing } = this.state;
    this.controls.follow(this.state);
    this.tabs.show(tab);
    this.restyle(this.look);
    if (show !== before.show) [this.first, this.second].forEach((pane) => void pane?.phase(show));
    if (versus !== before.versus || (versus !== ALONE && this.second === null)) await this.against(versus);
    if (differing !== before.differing || versus !== before.versus) await this.differ();
  }

  /** A scene is on the screen: everything that speaks of it follows. What is wanted, the controls, stays as it is. */
  private arrived(): void {
    const scene = this.first.scene;
    if (scene === null) return;
    const { choice } = scene;
    const alone = this.state.versus === ALONE;
    const other = alone ? null : (this.second?.scene ?? null);
    const known = this.endsOf === pathOf(choice);
    const [parent, end] = known ? [this.parent, this.end] : [null, null];
    this.problem.hidden = true;
    this.tabs.panel("Measurements").replaceChildren(
      legend(this.atlas, choice),
      measures(this.atlas, choice, scene, parent, other),
      el("h2", {}, "Plausibility checks"),
      checks(this.atlas, scene),
    );
    this.tabs.panel("Wall thickness").replaceChildren(...this.walls(scene));
    this.latent.draw(scene, parent, end);
    const ef = number(scene.measures["lv_ef_pct"]);
    this.status.textContent = `${nameOf(choice)}: LV EF ${ef} %, mass ${number(scene.measures["lv_mass_g"])} g`;
    if (!known) void this.ends.want(choice);
    if (!this.playing) void this.recipes.want(choice);
    if (this.state.differing) void this.differ();
  }

  private walls(scene: Scene): HTMLElement[] {
    return PHASES.map((phase) => {
      const title = `Wall thickness at ${phase}, mm, by AHA segment`;
      const range: [number, number] = phase === "ED" ? [4, 18] : [6, 24];
      const figure = bullseye(scene.phases[phase].aha_mm, range, title);
      const bar = colourBar("mm", range, (value) => shade(value, range));
      return el("figure", { class: "bullseye" }, figure as unknown as HTMLElement, bar, el("figcaption", {}, `${title}: base outside, apex inside, anterior on top, septum left`));
    });
  }

  /** The healthy and the fully diseased end of the heart that has come. */
  private async loadEnds(choice: Choice): Promise<void> {
    const path = pathOf(choice);
    if (this.endsOf === path) return;
    const at = async (severity: number): Promise<Scene | null> => {
      const scene = await this.source.scene({ ...choice, severity, shift: [] });
      return scene.choice.severity === severity ? scene : null;
    };
    try {
      [this.parent, this.end, this.endsOf] = [await at(0), await at(1), path];
      this.arrived();
    } catch {
      // The scene itself says what is wrong with the choice.
    }
  }

  private async showRecipe(choice: Choice): Promise<void> {
    try {
      this.recipe.replaceChildren(recipeText(await this.source.recipe(choice)));
    } catch (error) {
      this.recipe.replaceChildren();
      this.failed(error as Error);
    }
  }

  /** From healthy to diseased; every step waits until it has been seen. */
  private async play(): Promise<void> {
    this.playing = !this.playing;
    this.controls.playing(this.playing);
    const start = performance.now();
    while (this.playing) {
      const severity = Math.min(1, (performance.now() - start) / PLAY_MS);
      await this.choose({ severity: Math.round(100 * severity) / 100 }, "dragging");
      await new Promise(requestAnimationFrame);
      if (severity >= 1) this.playing = false;
    }
    write(this.state, "done");
    this.controls.playing(false);
    this.arrived();
  }

  private restyle(look: Omit<Look, "layout">): void {
    [this.first, this.second].forEach((pane) => pane?.restyle({ ...look, layout: this.state.layout }));
  }

  private async against(versus: string): Promise<void> {
    const other = comparedWith(this.state.choice, versus);
    if (other !== null && this.second === null) {
      this.second = await this.pane("Second heart");
      this.first.view.link(this.second.view);
    }
    this.pictures.classList.toggle("double", other !== null);
    this.first.view.resized();
    if (other !== null) await this.second!.want(other);
    this.arrived();
  }

  private async differ(): Promise<void> {
    const on = this.state.differing && this.state.versus !== ALONE;
    this.differs.hidden = !on;
    const mine = this.first;
    await this.second?.differ(on ? (phase) => mine.labels?.[phase] ?? null : null);
  }

  private keys(): void {
    this.pictures.addEventListener("keydown", (event) => {
      const steps: Record<string, [number, number, number]> = {
        ArrowLeft: [-1, 0, 0], ArrowRight: [1, 0, 0], ArrowUp: [0, -1, 0], ArrowDown: [0, 1, 0],
        PageUp: [0, 0, -1], PageDown: [0, 0, 1],
      };
      const step = steps[event.key];
      if (step === undefined) return;
      event.preventDefault();
      const pane = event.target === this.second?.view.canvas ? this.second : this.first;
      pane.view.step(...step);
    }, { capture: true });
  }

  /** Opens a patient's files; then the page is loaded anew, with the patient among the sources. */
  private async open(files: File[]): Promise<void> {
    this.problem.hidden = true;
    try {
      let last: Opened | null = null;
      for await (const line of this.source.open(files)) {
        last = line;
        this.status.textContent = line.of > 0 ? `Opening: ${line.words}, ${percent(line.done / line.of)}` : "";
      }
      if (!last?.patient) return this.complain(last?.words ?? "nothing came of it");
      sessionStorage.setItem("opened", last.said.join(" · "));
      this.state = { ...this.state, choice: { ...this.state.choice, ...CROP, source: last.patient } };
      write(this.state, "done");
      location.reload();
    } catch (error) {
      this.failed(error as Error);
    }
  }

  private snapshot(): void {
    const { nv, canvas } = this.first.view;
    nv.drawScene();
    canvas.toBlob((blob) => blob && save(blob, `${nameOf(this.state.choice)}_views.png`));
  }

  private async openReport(): Promise<void> {
    try {
      window.open(URL.createObjectURL(await this.source.report()), "_blank", "noopener");
    } catch (error) {
      this.failed(error as Error);
    }
  }

  private failed(error: Error): void {
    if (!(error instanceof Unreachable)) return this.complain(error.message);
    const shown = this.first.scene === null ? "" : ` Shown is the last heart that came, ${nameOf(this.first.scene.choice)}.`;
    this.complain(`${error.message}; trying again.${shown}`);
  }

  private complain(words: string): void {
    this.problem.textContent = words;
    this.problem.hidden = false;
  }
}

function swatch(colour: string): HTMLElement {
  return el("span", { class: "swatch", style: `background:${colour}` });
}

/** What two hearts of one morph have in common: all but how far along it they are, and the sliders. */
function pathOf(choice: Choice): string {
  return JSON.stringify({ ...choice, severity: 0, shift: [] });
}

function captionOf({ source, target, sampler, seed, version, severity }: Choice): string {
  if (severity === 0) return `${source}, healthy parent`;
  return `${source}, ${target} at ${percent(severity)}, ${sampler}, seed ${seed}, version ${version}`;
}
