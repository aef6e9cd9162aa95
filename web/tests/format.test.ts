import { expect, test } from "vitest";

import { rgb } from "../src/colours";
import { nameOf } from "../src/downloads";
import { number, percent } from "../src/format";

test.each([
  [null, "–"], [undefined, "–"], [0, "0.00"], [0.034, "0.03"], [-0.5, "-0.50"], [1, "1.0"], [-12.34, "-12.3"],
  [99.96, "100.0"], [100, "100"], [-1234.6, "-1235"],
])("%s is written %s", (value, text) => {
  expect(number(value)).toBe(text);
});

test.each([[0, "0 %"], [0.005, "1 %"], [0.5, "50 %"], [1, "100 %"]])("a share of %s is %s", (share, text) => {
  expect(percent(share)).toBe(text);
});

test("a colour of the server's has three channels", () => {
  expect(rgb("#4c9be8")).toEqual([76, 155, 232]);
  expect(rgb("#ff00dc")).toEqual([255, 0, 220]);
});

test.each([[1, "a_HCM_v02"], [0.5, "a_HCM_v02_s0500"], [0, "a_HCM_v02_s0000"], [0.07, "a_HCM_v02_s0070"]])(
  "a heart of severity %s is named %s, as its folder is",
  (severity, name) => {
    const rest = { sampler: "population", seed: 0, slices: "32", styles: "slice", field: "heart", shift: [] } as const;
    expect(nameOf({ source: "a", target: "HCM", version: 2, severity, ...rest, shift: [] })).toBe(name);
  },
);
