/** The page: what is chosen, who is told, and in which order. */

import type { Atlas, Choice, Latent, Scene, Source } from "./api";
import { bullseye } from "./bullseye";
import { controls, type Controls } from "./controls";
import { el, save } from "./dom";
import { Latest } from "./flow";
import { number } from "./format";
import { HeartView, STRUCTURES, type Look } from "./heartview";
import { checks, legend, measures } from "./numbers";
import { room, type Room } from "./room";
import { Side, type Show } from "./side";
import { downloads, nameOf, recipeText } from "./takealong";
import { opponent } from "./versus";

const PLAY_MS = 5000;
const PAGES = ["Numbers", "Wall", "Latent room", "Take along"] as const;
type Page = (typeof PAGES)[number];

export class App {
  private choice: Choice;
  private look: Look = { opacity: 0.35, window: [0, 255], layout: "all" };
  private show: Show = "ED";
  private versus = "alone";
  private differing = false;
  private parent: Scene | null = null;
  private end: Scene | null = null;
  private playing = false;
  private readonly controls: Controls;
  private readonly room: Room;
  private readonly pages = new Map<Page, HTMLElement>();
  private readonly status = el("p", { class: "status", role: "status", "aria-live": "polite" });
  private readonly problem = el("p", { class: "problem", role: "alert", hidden: true });
  private readonly stage = el("section", { class: "stage", "aria-label": "Stage" });
  private readonly ends = new Latest<Choice>((choice) => this.loadEnds(choice));
  private readonly recipes = new Latest<Choice>(async (choice) => this.showRecipe(choice));
  private readonly recipe = el("div", { class: "recipe" });
  first!: Side;
  private second: Side | null = null;

  constructor(private readonly root: HTMLElement, private readonly source: Source, private readonly atlas: Atlas, latent: Latent) {
    this.choice = this.begin();
    this.controls = controls(atlas, source.live, this.choice, this.look, {
      choose: (change) => this.choose(change),
      play: () => void this.play(),
      show: (show) => this.phase(show),
      look: (look) => this.restyle(look),
      against: (kind) => void this.against(kind),
      differ: (on) => void this.differ(on),
    });
    this.room = room(atlas, latent, source.live, (shift) => this.choose({ shift }));
  }

  async start(): Promise<void> {
    this.root.append(this.header(), el("main", {}, this.controls.panel, this.centre(), this.tabs()));
    this.first = await this.side("Heart");
    this.keys();
    new ResizeObserver(() => [this.first, this.second].forEach((side) => side?.view.resized())).observe(this.stage);
    await this.choose({});
    document.body.dataset["ready"] = "true";
  }

  private begin(): Choice {
    const plain: Choice = {
      source: this.atlas.sources[0]!, target: this.atlas.targets[0]!, sampler: this.atlas.samplers[0]!,
      seed: 0, version: 1, severity: 1, shift: [],
    };
    const given = Object.values(this.atlas.hearts)[0];
    const asked = new URLSearchParams(location.hash.slice(1)).get("heart");
    try {
      return { ...plain, ...given, ...(asked === null ? {} : (JSON.parse(asked) as Partial<Choice>)) };
    } catch {
      return { ...plain, ...given };
    }
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
    const keys = STRUCTURES.map(({ name, colour }) => el("li", {}, el("span", { class: "swatch", style: `background:rgb(${colour})` }), name));
    const shot = el("button", { type: "button", click: () => this.snapshot() }, "Picture of the stage");
    return el(
      "div",
      { class: "centre" },
      this.stage,
      el("div", { class: "foot" }, el("ul", { class: "legend" }, ...keys), this.status, shot),
      this.problem,
      ...(this.atlas.notice ? [el("p", { class: "notice" }, this.atlas.notice)] : []),
    );
  }

  private tabs(): HTMLElement {
    const buttons: HTMLElement[] = [];
    const panels: HTMLElement[] = [];
    PAGES.forEach((name, index) => {
      const content = el("div", { role: "tabpanel", id: `page-${index}`, "aria-labelledby": `tab-${index}`, tabindex: 0, hidden: index > 0 });
      const tab = el("button", {
        type: "button", role: "tab", id: `tab-${index}`, "aria-controls": `page-${index}`, "aria-selected": String(index === 0),
        tabindex: index === 0 ? 0 : -1,
        click: () => select(index),
        keydown: (event) => {
          const step = { ArrowRight: 1, ArrowLeft: -1 }[(event as KeyboardEvent).key];
          if (step !== undefined) select((index + step + PAGES.length) % PAGES.length, true);
        },
      }, name);
      buttons.push(tab);
      panels.push(content);
      this.pages.set(name, content);
    });
    const select = (chosen: number, focus = false): void => {
      panels.forEach((panel, index) => (panel.hidden = index !== chosen));
      buttons.forEach((tab, index) => {
        tab.setAttribute("aria-selected", String(index === chosen));
        tab.tabIndex = index === chosen ? 0 : -1;
      });
      if (focus) buttons[chosen]!.focus();
    };
    this.pages.get("Latent room")!.append(this.room.panel);
    this.pages.get("Take along")!.append(
      el("h2", {}, "Download"),
      downloads(this.source, this.atlas.images, () => this.choice, (words) => this.complain(words)),
      el("h2", {}, "Make it again"),
      this.recipe,
    );
    return el("section", { class: "panel facts", "aria-label": "Facts" }, el("div", { role: "tablist", "aria-label": "Facts" }, ...buttons), ...panels);
  }

  private async side(name: string): Promise<Side> {
    const canvas = el("canvas", { tabindex: 0, role: "img", "aria-label": `${name}: short axis, long axes and surfaces. Arrow keys move the crosshair, page up and down change the slice.` });
    this.stage.append(el("div", { class: "side" }, canvas));
    const view = await new HeartView(canvas).attach();
    const side = new Side(view, this.source, () => this.arrived(), (words) => this.complain(words), (busy) => this.stage.classList.toggle("painting", busy));
    side.restyle(this.look);
    await side.phase(this.show);
    return side;
  }

  private async choose(change: Partial<Choice>): Promise<void> {
    this.choice = { ...this.choice, ...change };
    this.controls.follow(this.choice);
    this.problem.hidden = true;
    const other = opponent(this.choice, this.versus);
    if (other !== null) void this.second?.want(other);
    void this.ends.want(this.choice);
    await this.first.want(this.choice);
  }

  /** A scene is on the screen: everything that speaks of it follows. */
  private arrived(): void {
    const scene = this.first.scene;
    if (scene === null) return;
    const { choice } = scene;
    const other = this.second?.scene ?? null;
    this.pages.get("Numbers")!.replaceChildren(
      legend(this.atlas, choice),
      measures(this.atlas, choice, scene, this.parent, other),
      el("h2", {}, "Held to the truth"),
      checks(this.atlas, scene),
    );
    this.pages.get("Wall")!.replaceChildren(...this.walls(scene));
    this.room.follow(choice, scene, this.parent, this.end);
    const ef = number(scene.measures["lv_ef_pct"]);
    this.status.textContent = `${nameOf(choice)}: LV EF ${ef} %, mass ${number(scene.measures["lv_mass_g"])} g`;
    if (!this.playing) {
      void this.recipes.want(choice);
      const { token: _, ...kept } = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
      history.replaceState(null, "", `#${new URLSearchParams({ ...kept, heart: JSON.stringify(choice) })}`);
    }
    if (this.differing) void this.differ(true);
  }

  private walls(scene: Scene): HTMLElement[] {
    return (["ED", "ES"] as const).map((phase) => {
      const title = `Wall thickness at ${phase}, mm, by AHA segment`;
      const range: [number, number] = phase === "ED" ? [4, 18] : [6, 24];
      const figure = bullseye(scene.phases[phase].aha_mm, range, title);
      return el("figure", { class: "bullseye" }, figure as unknown as HTMLElement, el("figcaption", {}, title));
    });
  }

  private async loadEnds(choice: Choice): Promise<void> {
    const same = (scene: Scene | null, severity: number): boolean =>
      scene !== null && JSON.stringify({ ...scene.choice, severity, shift: [] }) === JSON.stringify({ ...choice, severity, shift: [] });
    if (same(this.parent, 0) && same(this.end, 1)) return;
    try {
      this.parent = await this.source.scene({ ...choice, severity: 0, shift: [] });
      this.end = await this.source.scene({ ...choice, severity: 1, shift: [] });
      this.arrived();
    } catch {
      // The scene itself says what is wrong with the choice.
    }
  }

  private async showRecipe(choice: Choice): Promise<void> {
    try {
      this.recipe.replaceChildren(recipeText(await this.source.recipe(choice)));
    } catch (error) {
      this.complain((error as Error).message);
    }
  }

  /** From healthy to diseased; every step waits until it has been seen. */
  private async play(): Promise<void> {
    this.playing = !this.playing;
    this.controls.playing(this.playing);
    const start = performance.now();
    while (this.playing) {
      const severity = Math.min(1, (performance.now() - start) / PLAY_MS);
      await this.choose({ severity: Math.round(100 * severity) / 100 });
      await new Promise(requestAnimationFrame);
      if (severity >= 1) this.playing = false;
    }
    this.controls.playing(false);
    this.arrived();
  }

  private phase(show: Show): void {
    this.show = show;
    void this.first.phase(show);
    void this.second?.phase(show);
  }

  private restyle(look: Look): void {
    this.look = look;
    this.first.restyle(look);
    this.second?.restyle(look);
  }

  private async against(kind: string): Promise<void> {
    this.versus = kind;
    const other = opponent(this.choice, kind);
    if (other !== null && this.second === null) {
      this.second = await this.side("Second heart");
      this.first.view.nv.broadcastTo(this.second.view.nv, { "2d": true, "3d": true });
      this.second.view.nv.broadcastTo(this.first.view.nv, { "2d": true, "3d": true });
    }
    this.stage.classList.toggle("double", other !== null);
    this.first.view.resized();
    if (other !== null) await this.second!.want(other);
    this.arrived();
  }

  private async differ(on: boolean): Promise<void> {
    this.differing = on;
    const mine = this.first;
    await this.second?.differ(on ? (phase) => mine.labels?.[phase] ?? null : null);
  }

  private keys(): void {
    this.stage.addEventListener("keydown", (event) => {
      const steps: Record<string, [number, number, number]> = {
        ArrowLeft: [-1, 0, 0], ArrowRight: [1, 0, 0], ArrowUp: [0, -1, 0], ArrowDown: [0, 1, 0],
        PageUp: [0, 0, -1], PageDown: [0, 0, 1],
      };
      const step = steps[event.key];
      if (step === undefined) return;
      event.preventDefault();
      this.first.view.step(...step);
    }, { capture: true });
  }

  private snapshot(): void {
    const { nv, canvas } = this.first.view;
    nv.drawScene();
    canvas.toBlob((blob) => blob && save(blob, `${nameOf(this.choice)}_stage.png`));
  }

  private async openReport(): Promise<void> {
    try {
      window.open(URL.createObjectURL(await this.source.report()), "_blank", "noopener");
    } catch (error) {
      this.complain((error as Error).message);
    }
  }

  private complain(words: string): void {
    this.problem.textContent = words;
    this.problem.hidden = false;
  }
}
