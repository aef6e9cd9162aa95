/** The left-hand panel: which heart, how ill, how it is looked at. */

import type { Atlas, Choice } from "./api";
import { el, field, select } from "./dom";
import type { Layout, Look } from "./heartview";
import type { Show } from "./side";
import { ALONE, opponents } from "./versus";

export interface Wishes {
  choose(change: Partial<Choice>): void;
  play(): void;
  show(show: Show): void;
  look(look: Look): void;
  against(kind: string): void;
  differ(on: boolean): void;
}

export interface Controls {
  panel: HTMLElement;
  /** Sets every control to a choice made elsewhere. */
  follow(choice: Choice): void;
  playing(on: boolean): void;
}

export function controls(atlas: Atlas, live: boolean, first: Choice, look: Look, wishes: Wishes): Controls {
  const heart = heartControls(atlas, live, first, wishes);
  return {
    panel: el(
      "section",
      { class: "panel controls", "aria-label": "Controls" },
      heart.element,
      viewControls(atlas, look, wishes),
      compareControls(atlas, live, wishes),
    ),
    follow: heart.follow,
    playing: heart.playing,
  };
}

function heartControls(atlas: Atlas, live: boolean, first: Choice, wishes: Wishes): {
  element: HTMLElement;
  follow(choice: Choice): void;
  playing(on: boolean): void;
} {
  const named = (names: string[]): Record<string, string> => Object.fromEntries(names.map((name) => [name, name]));
  const diseases = Object.fromEntries(atlas.targets.map((target) => [target, `${target}: ${atlas.groups[target]!.name}`]));
  const sources = live ? atlas.sources : [first.source];
  const [sourceField, source] = select("Healthy heart", named(sources), first.source, (value) => wishes.choose({ source: value }));
  const [targetField, target] = select("Disease", diseases, first.target, (value) => wishes.choose({ target: value }));
  const samplers = named(live ? atlas.samplers : [first.sampler]);
  const [samplerField, sampler] = select("Sampler", samplers, first.sampler, (value) => wishes.choose({ sampler: value }));
  const seed = el("input", {
    type: "number", min: 0, max: 2 ** 31 - 1, step: 1, disabled: !live,
    change: () => seed.checkValidity() && wishes.choose({ seed: seed.valueAsNumber }),
  });
  const version = el("output", { class: "version" });
  const severity = el("input", {
    type: "range", min: 0, max: 1, step: 0.01, "aria-describedby": "severity-ends",
    input: () => wishes.choose({ severity: severity.valueAsNumber }),
  });
  const percent = el("output", {});
  const play = el("button", { type: "button", click: () => wishes.play() }, "Play");
  const again = el("button", { type: "button", disabled: !live, click: () => wishes.choose({ version: Number(version.value) + 1 }) }, "Another version");
  const follow = (choice: Choice): void => {
    [source.value, target.value, sampler.value] = [choice.source, choice.target, choice.sampler];
    [seed.value, version.value] = [String(choice.seed), String(choice.version)];
    severity.value = String(choice.severity);
    severity.setAttribute("aria-valuetext", `${Math.round(100 * choice.severity)} percent`);
    percent.value = `${Math.round(100 * choice.severity)} %`;
  };
  follow(first);
  const given = Object.keys(atlas.hearts);
  const opened = given.length
    ? select("From the synthesis", { "": "choose a heart", ...named(given) }, "", (name) => name && wishes.choose(atlas.hearts[name]!))[0]
    : null;
  const element = el(
    "fieldset",
    {},
    el("legend", {}, "Heart"),
    opened,
    sourceField,
    targetField,
    el("div", { class: "severity" }, field("Severity", severity, percent),
      el("div", { class: "ends", id: "severity-ends" }, el("span", {}, "healthy"), play, el("span", {}, "diseased"))),
    samplerField,
    el("div", { class: "row" }, field("Seed", seed), field("Version", version), again),
  );
  return { element, follow, playing: (on) => (play.textContent = on ? "Stop" : "Play") };
}

function viewControls(atlas: Atlas, first: Look, wishes: Wishes): HTMLElement {
  let look = first;
  const change = (part: Partial<Look>): void => wishes.look((look = { ...look, ...part }));
  const [layoutField] = select(
    "Views",
    { all: "all, linked", short: "short axis", long: "long axis", surface: "surfaces" },
    look.layout,
    (layout) => change({ layout: layout as Layout }),
  );
  const phases = (["ED", "ES", "beat"] as const).map((show) =>
    el("label", {}, el("input", { type: "radio", name: "phase", value: show, checked: show === "ED", change: () => wishes.show(show) }), show === "beat" ? "beating" : show),
  );
  const opacity = el("input", { type: "range", min: 0, max: 1, step: 0.05, value: look.opacity, input: () => change({ opacity: opacity.valueAsNumber }) });
  const level = el("input", { type: "range", min: 0, max: 255, step: 1, value: 128, input: () => windowed() });
  const width = el("input", { type: "range", min: 10, max: 400, step: 1, value: 255, input: () => windowed() });
  const windowed = (): void => {
    const half = width.valueAsNumber / 2;
    change({ window: [level.valueAsNumber - half, level.valueAsNumber + half] });
  };
  return el(
    "fieldset",
    {},
    el("legend", {}, "View"),
    el("div", { class: "phases", role: "radiogroup", "aria-label": "Phase" }, ...phases),
    layoutField,
    field("Labels", opacity),
    ...(atlas.images ? [field("Window", width), field("Level", level)] : []),
  );
}

function compareControls(atlas: Atlas, live: boolean, wishes: Wishes): HTMLElement {
  const differ = el("input", { type: "checkbox", disabled: true, change: () => wishes.differ(differ.checked) });
  const [kindField] = select("Side by side with", opponents(atlas, live), ALONE, (kind) => {
    differ.disabled = kind === ALONE;
    wishes.against(kind);
  });
  return el("fieldset", {}, el("legend", {}, "Compare"), kindField, el("label", { class: "check" }, differ, "mark where the labels differ"));
}
