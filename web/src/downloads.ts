/** What one leaves with: volumes, a picture, and three ways to make the heart again. */

import type { Choice, Phase, Recipe, Source } from "./api";
import { el, save } from "./elements";

export function nameOf({ source, target, version, severity }: Choice): string {
  const suffix = severity === 1 ? "" : `_s${String(Math.round(1000 * severity)).padStart(4, "0")}`;
  return `${source}_${target}_v${String(version).padStart(2, "0")}${suffix}`;
}

export function downloads(source: Source, images: boolean, choice: () => Choice, failed: (words: string) => void): HTMLElement {
  const button = (text: string, name: string, get: () => Promise<Blob>): HTMLElement => {
    const made = el("button", { type: "button" }, text);
    const download = async (): Promise<void> => {
      made.disabled = true;
      try {
        save(await get(), `${nameOf(choice())}${name}`);
      } catch (error) {
        failed((error as Error).message);
      } finally {
        made.disabled = false;
      }
    };
    made.addEventListener("click", () => void download());
    return made;
  };
  const provenance = button("provenance.json", "_provenance.json", async () => {
    const { provenance: facts } = await source.recipe(choice());
    return new Blob([JSON.stringify(facts, null, 2)], { type: "application/json" });
  });
  if (!source.live) return el("div", { class: "downloads" }, provenance);
  const kinds = images ? (["image", "label"] as const) : (["label"] as const);
  const volumes = kinds.flatMap((kind) =>
    (["ED", "ES"] as Phase[]).map((phase) =>
      button(`${phase} ${kind}`, `_${phase}${kind === "label" ? "_gt" : ""}.nii.gz`, () => source.volume(choice(), phase, kind)),
    ),
  );
  return el("div", { class: "downloads" }, ...volumes, button("strip.png", ".png", () => source.strip(choice())), provenance);
}

export function recipeText({ command, python }: Recipe): HTMLElement {
  const shown = (title: string, text: string): HTMLElement => {
    const copy = el("button", { type: "button" }, "Copy");
    const copied = async (): Promise<void> => {
      await navigator.clipboard.writeText(text);
      copy.textContent = "Copied";
    };
    copy.addEventListener("click", () => void copied());
    return el("section", {}, el("h3", {}, title, copy), el("pre", { tabindex: 0, "aria-label": title }, text));
  };
  const moved = "Sliders have moved this heart in latent space: only the Python makes it again.";
  return el("div", {}, command === null ? el("p", {}, moved) : shown("Command line", command), shown("Python", python));
}
