import { describe, expect, test } from "vitest";

import { inWorld, type Sides } from "../src/view-marks";
import type { World } from "../src/volumes";

const HEART: Sides = { name: "a view", left: "a", right: "b", top: "c", bottom: "d" };
const WORLD: World = [["R", "L"], ["A", "P"], ["S", "I"]];

describe("the world's directions on a view", () => {
  test("stand on all sides of the short axis", () => {
    expect(inWorld(0, HEART, WORLD)).toEqual({ name: "a view", left: "R", right: "L", top: "A", bottom: "P" });
  });

  test("stand left and right of a long axis, between base and apex", () => {
    expect(inWorld(1, HEART, WORLD)).toMatchObject({ left: "R", right: "L", top: "c", bottom: "d" });
    expect(inWorld(2, HEART, WORLD)).toMatchObject({ left: "A", right: "P", top: "c", bottom: "d" });
  });
});
