/** Names, units and numbers as they are written on the page. */

export interface Measure {
  key: string;
  name: string;
  unit: string;
}

export const MEASURES: readonly Measure[] = [
  { key: "lv_edv_ml", name: "LV EDV", unit: "mL" },
  { key: "lv_esv_ml", name: "LV ESV", unit: "mL" },
  { key: "lv_ef_pct", name: "LV EF", unit: "%" },
  { key: "rv_edv_ml", name: "RV EDV", unit: "mL" },
  { key: "rv_esv_ml", name: "RV ESV", unit: "mL" },
  { key: "rv_ef_pct", name: "RV EF", unit: "%" },
  { key: "lv_mass_g", name: "LV mass", unit: "g" },
  { key: "wall_max_mm", name: "Thickest wall, ED", unit: "mm" },
  { key: "long_axis_mm", name: "Length, ED", unit: "mm" },
];

export const SMOOTH: Record<string, { name: string; unit: string }> = {
  adjacent_dice: { name: "Dice of neighbouring slices", unit: "" },
  area_bend_mm2: { name: "Bend of the area along the axis", unit: "mm²" },
  centroid_bend_mm: { name: "Bend of the axis", unit: "mm" },
  endocardial_roughness_mm: { name: "Roughness of the endocardium", unit: "mm" },
};

export const FAILURES: Record<string, string> = {
  rv_in_pieces: "RV in one piece",
  myocardium_in_pieces: "Myocardium in one piece",
  lv_in_pieces: "LV in one piece",
  structure_missing_between: "No structure missing between slices",
  rv_below_apex: "RV ends above the LV's apex",
  systole_not_smaller: "Cavity smaller in systole",
};

/** Three digits or so, never more than the measurement is worth. */
export function number(value: number | null | undefined): string {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 1 ? 1 : 2);
}
