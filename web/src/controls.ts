/** The left-hand panel: which heart, how ill, how it is looked at. */

import type { How, State } from "./url-state";
import type { Atlas, Choice, Source } from "./api";
import { el, field, select } from "./elements";
import { percent } from "./format";
import { LAYOUTS, type Layout, type Look } from "./heart-view";
import type { Show } from "./heart-pane";
import { ALONE, comparisons } from "./comparison";

export interface Wishes {
  choose(change: Partial<Choice>, how?: How): void;
  play(): void;
  show(show: Show): void;
  layout(layout: Layout): void;
  look(look: Window): void;
  open(files: File[]): void;
  against(kind: string): void;
  differ(on: boolean): void;
}

type Window = Omit<Look, "layout">;

/** The patient's whole field of view has the scan's own slices. */
const WHOLE = { field: "full", slices: "native" } as const;
export const CROP = { field: "heart", slices: "32" } as const;

export interface Controls {
  panel: HTMLElement;
  /** Sets every control to a state made elsewhere. */
  follow(state: State): void;
  playing: (on: boolean) => void;
}

export function controls(atlas: Atlas, source: Source, first: State, look: Window, wishes: Wishes): Controls {
  const heart = heartControls(atlas, source, first.choice, wishes);
  const view = viewControls(atlas, look, wishes);
  const compare = compareControls(atlas, source.live, wishes);
  const follow = (state: State): void => {
    heart.follow(state.choice);
    view.follow(state);
    compare.follow(state);
  };
  follow(first);
  return {
    panel: el("section", { class: "panel controls", "aria-label": "Controls" }, heart.element, view.element, compare.element),
    follow,
    playing: heart.playing,
  };
}

interface Part {
  element: HTMLElement;
  follow(state: State): void;
}

function heartControls(atlas: Atlas, from: Source, first: Choice, wishes: Wishes): {
  element: HTMLElement;
  follow(choice: Choice): void;
  playing: (on: boolean) => void;
} {
  const { live, severities } = from;
  const named = (names: string[]): Record<string, string> => Object.fromEntries(names.map((name) => [name, name]));
  const diseases = Object.fromEntries(atlas.targets.map((target) => [target, `${target}: ${atlas.groups[target]!.name}`]));
  const sources = live ? atlas.sources : [first.source];
  const [sourceField, source] = select("Healthy parent", named(sources), first.source, (value) => wishes.choose({ source: value }));
  const [targetField, target] = select("Target disease", diseases, first.target, (value) => wishes.choose({ target: value }));
  const samplers = named(live ? Object.keys(atlas.samplers) : [first.sampler]);
  const [samplerField, sampler] = select("Sampler", samplers, first.sampler, (value) => wishes.choose({ sampler: value }));
  const explained = el("p", { class: "note", id: "sampler-note" });
  sampler.setAttribute("aria-describedby", "sampler-note");
  const seed = el("input", {
    type: "number", min: 0, max: 2 ** 31 - 1, step: 1, disabled: !live,
    "aria-describedby": "seed-wrong",
    input: () => {
      const wrong = !seed.checkValidity() || !Number.isInteger(seed.valueAsNumber);
      seed.setAttribute("aria-invalid", String(wrong));
      seedWrong.textContent = wrong ? `A seed is a whole number from 0 to ${2 ** 31 - 1}; the heart keeps seed ${chosen.seed}.` : "";
    },
    change: () => seed.getAttribute("aria-invalid") !== "true" && wishes.choose({ seed: seed.valueAsNumber }),
  });
  const seedWrong = el("p", { class: "wrong", id: "seed-wrong", role: "status" });
  let chosen = first;
  const version = el("output", { class: "version" });
  const severity = el("input", {
    type: "range", min: 0, max: 1, step: 0.01, "aria-describedby": "severity-ends",
    input: () => wishes.choose({ severity: severity.valueAsNumber }, "dragging"),
    change: () => wishes.choose({ severity: severity.valueAsNumber }, "done"),
  });
  const shown = el("output", {});
  const play = el("button", { type: "button", click: () => wishes.play() }, "Play");
  const again = el("button", { type: "button", disabled: !live, click: () => wishes.choose({ version: Number(version.value) + 1 }) }, "Next version");
  const follow = (choice: Choice): void => {
    [source.value, target.value, sampler.value] = [choice.source, choice.target, choice.sampler];
    // What somebody has typed and not yet corrected stays, with what is wrong beside it.
    if (seed.getAttribute("aria-invalid") !== "true") seed.value = String(choice.seed);
    version.value = String(choice.version);
    chosen = choice;
    explained.textContent = sampler.title = atlas.samplers[choice.sampler] ?? "";
    severity.value = String(choice.severity);
    severity.setAttribute("aria-valuetext", percent(choice.severity));
    shown.value = percent(choice.severity);
  };
  follow(first);
  const files = el("input", {
    type: "file", multiple: true, accept: ".nii,.gz,.cfg", hidden: true, "aria-label": "NIfTI files of a patient",
    change: () => files.files?.length && wishes.open([...files.files]),
  });
  const open = el("button", {
    type: "button", click: () => files.click(),
    title: "An image with its labels (NAME.nii.gz and NAME_gt.nii.gz), or a cine alone, which is then labelled. Nothing is stored.",
  }, "Open a scan…");
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
    live ? el("div", { class: "row" }, open, files) : null,
    targetField,
    el("div", { class: "severity" }, field("Severity", severity, shown),
      el("div", { class: "ends", id: "severity-ends" }, el("span", {}, "healthy"), play, el("span", {}, "diseased")),
      severities && el("p", { class: "note" }, `Computed at ${severities.map(percent).join(", ")}.`)),
    samplerField,
    explained,
    el("div", { class: "row" }, field("Seed", seed), field("Version", version), again),
    seedWrong,
  );
  return { element, follow, playing: (on) => (play.textContent = on ? "Stop" : "Play") };
}

function viewControls(atlas: Atlas, first: Window, wishes: Wishes): Part {
  let look = first;
  const change = (part: Partial<Window>): void => wishes.look((look = { ...look, ...part }));
  const [layoutField, layout] = select("Views", LAYOUTS, "all", (value) => wishes.layout(value as Layout));
  const radios = (["ED", "ES", "beat"] as const).map((show) => ({
    show,
    radio: el("input", { type: "radio", name: "phase", value: show, change: () => wishes.show(show) }),
  }));
  const phases = radios.map(({ show, radio }) =>
    el("label", { title: show === "beat" ? "Interpolated between ED and ES: to look at, not data" : "" }, radio, show === "beat" ? "cine" : show),
  );
  const opacity = el("input", { type: "range", min: 0, max: 1, step: 0.05, value: look.opacity, input: () => change({ opacity: opacity.valueAsNumber }) });
  const level = el("input", { type: "range", min: 0, max: 255, step: 1, value: 128, input: () => windowed() });
  const width = el("input", { type: "range", min: 10, max: 400, step: 1, value: 255, input: () => windowed() });
  const windowed = (): void => {
    const half = width.valueAsNumber / 2;
    change({ window: [level.valueAsNumber - half, level.valueAsNumber + half] });
  };
  const whole = el("input", { type: "checkbox", change: () => wishes.choose(whole.checked ? WHOLE : CROP) });
  const wholeLabel = el("label", { class: "check", title: "The heart in the patient's own image, with the world's directions" }, whole, "the whole image");
  const element = el(
    "fieldset",
    {},
    el("legend", {}, "View"),
    el("div", { class: "phases", role: "radiogroup", "aria-label": "Phase" }, ...phases),
    wholeLabel,
    layoutField,
    field("Label opacity", opacity),
    ...(atlas.images ? [field("Window width", width), field("Window level", level)] : []),
  );
  const follow = (state: State): void => {
    layout.value = state.layout;
    whole.checked = state.choice.field === "full";
    wholeLabel.hidden = !atlas.scanned.includes(state.choice.source);
    radios.forEach(({ show, radio }) => (radio.checked = show === state.show));
  };
  return { element, follow };
}

function compareControls(atlas: Atlas, live: boolean, wishes: Wishes): Part {
  const differ = el("input", { type: "checkbox", change: () => wishes.differ(differ.checked) });
  const [kindField, kind] = select("Side by side with", comparisons(atlas, live), ALONE, (value) => wishes.against(value));
  const note = el("p", { class: "note" }, "Slices are linked and compared at the same level, the share of the length from base to apex.");
  const label = el("label", { class: "check" }, differ, "mark where the labels differ");
  const follow = ({ versus, differing }: State): void => {
    kind.value = versus;
    [differ.checked, differ.disabled, note.hidden] = [differing, versus === ALONE, versus === ALONE];
  };
  return { element: el("fieldset", {}, el("legend", {}, "Compare"), kindField, label, note), follow };
}
