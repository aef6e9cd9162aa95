/** What the address holds of the page: the heart and how it is looked at, so that Back, a link and a reload show it again. */

import type { Choice } from "./api";
import { LAYOUTS, type Layout } from "./heart-view";
import type { Show } from "./heart-pane";

/** Whether a hand is still moving or has decided. */
export type How = "dragging" | "done";

export const TABS = ["Measurements", "Wall thickness", "Latent space", "Export"] as const;
export type Tab = (typeof TABS)[number];
const SHOWS: readonly Show[] = ["ED", "ES", "beat"];

export interface State {
  choice: Choice;
  show: Show;
  layout: Layout;
  tab: Tab;
  /** What the heart is compared with, as in `comparisons`. */
  versus: string;
  differing: boolean;
}

/** The parts of the state that the address names; what it names wrongly counts as not named. */
export function read(): Partial<Omit<State, "choice">> & { choice?: Partial<Choice> } {
  const given = new URLSearchParams(location.hash.slice(1));
  const among = <T extends string>(key: string, known: readonly T[]): T | undefined =>
    known.find((one) => one === given.get(key));
  const choice = object(given.get("heart"));
  const [show, layout, tab] = [among("phase", SHOWS), among("views", Object.keys(LAYOUTS) as Layout[]), among("tab", TABS)];
  const versus = given.get("versus");
  return {
    ...(choice && { choice }),
    ...(show && { show }),
    ...(layout && { layout }),
    ...(tab && { tab }),
    ...(versus !== null && { versus }),
    ...(given.has("differ") && { differing: given.get("differ") === "true" }),
  };
}

function object(text: string | null): Partial<Choice> | null {
  try {
    const found: unknown = JSON.parse(text ?? "null");
    return typeof found === "object" && !Array.isArray(found) ? (found) : null;
  } catch {
    return null;
  }
}

let moving = false;

/** Writes the state. A decision is a step that Back takes back; a drag is one step, however long. */
export function write({ choice, show, layout, tab, versus, differing }: State, how: How | "restored"): void {
  const heart = JSON.stringify(choice);
  const hash = `#${new URLSearchParams({ heart, phase: show, views: layout, tab, versus, differ: String(differing) })}`;
  const first = !moving;
  moving = how === "dragging";
  if (hash === location.hash) return;
  if (first && how !== "restored" && location.hash.includes("heart=")) history.pushState(null, "", hash);
  else history.replaceState(null, "", hash);
}
