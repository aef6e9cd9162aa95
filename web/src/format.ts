/** Numbers as they are written on the page. */

/** A share as it is written: 0.5 is 50 %. */
export function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}

/** Three digits or so, never more than the measurement is worth. */
export function number(value: number | null | undefined): string {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 1 ? 1 : 2);
}
