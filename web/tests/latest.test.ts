import { expect, test } from "vitest";

import { Cancellable, Latest } from "../src/latest";

/** Work that ends when it is told to, and remembers what it was asked for. */
function slow(): { asked: number[]; done: (() => void)[]; work: (wish: number) => Promise<void> } {
  const asked: number[] = [];
  const done: (() => void)[] = [];
  const work = (wish: number): Promise<void> => {
    asked.push(wish);
    return new Promise((ended) => done.push(ended));
  };
  return { asked, done, work };
}

const soon = (): Promise<void> => new Promise((turn) => setTimeout(turn, 0));

test("of many wishes the first and the last are worked on, one at a time", async () => {
  const { asked, done, work } = slow();
  const latest = new Latest(work);
  const all = latest.want(1);
  for (const wish of [2, 3, 4]) void latest.want(wish);
  expect(asked).toEqual([1]);
  expect(latest.wanted).toBe(true);
  done[0]!();
  await soon();
  expect(asked).toEqual([1, 4]);
  expect(latest.wanted).toBe(false);
  done[1]!();
  await all;
  expect(asked).toEqual([1, 4]);
});

test("a wish after the work is done begins at once", async () => {
  const { asked, done, work } = slow();
  const latest = new Latest(work);
  const first = latest.want(1);
  done[0]!();
  await first;
  void latest.want(2);
  expect(asked).toEqual([1, 2]);
});

test("work that failed does not stand in the way of the next wish", async () => {
  const asked: number[] = [];
  const latest = new Latest<number>((wish) => {
    asked.push(wish);
    return wish === 1 ? Promise.reject(new Error("lost")) : Promise.resolve();
  });
  await expect(latest.want(1)).rejects.toThrow("lost");
  await latest.want(2);
  expect(asked).toEqual([1, 2]);
});

test("a wish that came while older work failed is worked on, and the old failure is nobody's", async () => {
  const asked: number[] = [];
  const latest = new Latest<number>(async (wish) => {
    asked.push(wish);
    await soon();
    if (wish === 1) throw new Error("lost");
  });
  const all = latest.want(1);
  void latest.want(2);
  await all;
  expect(asked).toEqual([1, 2]);
  expect(latest.wanted).toBe(false);
});

test("what begins anew cancels what began before, and a stop the last of it", () => {
  const work = new Cancellable();
  const first = work.begin();
  expect(first.aborted).toBe(false);
  const second = work.begin();
  expect([first.aborted, second.aborted]).toEqual([true, false]);
  work.stop();
  expect(second.aborted).toBe(true);
});
