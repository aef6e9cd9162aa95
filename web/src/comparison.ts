/** What a heart can be held against: its parent, another version, another sampler, another disease. */

import type { Atlas, Choice } from "./api";

export const ALONE = "alone";

export function comparisons(atlas: Atlas, live: boolean): Record<string, string> {
  const found: Record<string, string> = { [ALONE]: "one heart alone", parent: "the parent itself" };
  if (live) {
    found["version"] = "the next version";
    for (const sampler of Object.keys(atlas.samplers)) found[`sampler/${sampler}`] = `the ${sampler} sampler`;
  }
  for (const target of atlas.targets) found[`target/${target}`] = `${target}: ${atlas.groups[target]!.name}`;
  return found;
}

export function comparedWith(choice: Choice, kind: string): Choice | null {
  if (kind === ALONE) return null;
  if (kind === "parent") return { ...choice, severity: 0, shift: [] };
  if (kind === "version") return { ...choice, version: choice.version + 1 };
  const [field, value] = kind.split("/") as ["sampler" | "target", string];
  return { ...choice, [field]: value };
}
