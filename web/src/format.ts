/** Names, units and numbers as they are written on the page. */

export interface Measure {
  key: string;
  name: string;
  unit: string;
}

/** The bull's-eye's maximum; the scene's measures do not hold it. */
export const THICKEST_SEGMENT = "wall_segment_max_mm";

export const MEASURES: readonly Measure[] = [
  { key: "lv_edv_ml", name: "LV EDV", unit: "mL" },
  { key: "lv_esv_ml", name: "LV ESV", unit: "mL" },
  { key: "lv_ef_pct", name: "LV EF", unit: "%" },
  { key: "rv_edv_ml", name: "RV EDV", unit: "mL" },
  { key: "rv_esv_ml", name: "RV ESV", unit: "mL" },
  { key: "rv_ef_pct", name: "RV EF", unit: "%" },
  { key: "lv_mass_g", name: "LV mass", unit: "g" },
  { key: "wall_max_mm", name: "Wall, thickest slice's mean, ED", unit: "mm" },
  { key: THICKEST_SEGMENT, name: "Wall, thickest AHA segment, ED", unit: "mm" },
  { key: "long_axis_mm", name: "LV length, ED", unit: "mm" },
  { key: "rv_lv_sv_ratio", name: "Stroke volume, RV / LV", unit: "" },
  { key: "lv_edv_index_ml_m2", name: "LV EDV / BSA", unit: "mL/m²" },
  { key: "rv_edv_index_ml_m2", name: "RV EDV / BSA", unit: "mL/m²" },
  { key: "lv_mass_index_g_m2", name: "LV mass / BSA", unit: "g/m²" },
];

export const SMOOTH: Record<string, { name: string; unit: string; help: string }> = {
  adjacent_dice: { name: "Dice of adjacent slices", unit: "", help: "Mean overlap of the labels of each slice with the next one's; low where slices do not fit together." },
  area_bend_mm2: { name: "Area, second difference along axis", unit: "mm²", help: "How abruptly the cross-sectional area changes from slice to slice." },
  centroid_bend_mm: { name: "Centroid, second difference along axis", unit: "mm", help: "How abruptly the centre moves sideways from slice to slice." },
  endocardial_roughness_mm: { name: "Endocardial roughness", unit: "mm", help: "How far the endocardial surface departs from a smooth one." },
};

export const FAILURES: Record<string, { name: string; help: string }> = {
  rv_in_pieces: { name: "RV connected", help: "The RV cavity is one connected component in 3D." },
  myocardium_in_pieces: { name: "Myocardium connected", help: "The LV myocardium is one connected component in 3D." },
  lv_in_pieces: { name: "LV cavity connected", help: "The LV cavity is one connected component in 3D." },
  structure_missing_between: { name: "No structure missing between slices", help: "No structure ends and begins again along the axis." },
  rv_below_apex: { name: "RV ends above the LV apex", help: "No RV is labelled below the last slice of the LV." },
  systole_not_smaller: { name: "Both ventricles smaller at ES", help: "The end-systolic volume of LV and RV is below the end-diastolic one." },
};

export const INVALID_SLICES = "Labelled slices that break one of the per-slice anatomical criteria, of all labelled slices.";

/** What each sampler draws from; a sampler that is not named here has its name only. */
export const SAMPLERS: Record<string, string> = {
  population: "One joint Gaussian over ED and ES codes and both lengths, smooth along the axis, within the group's range.",
  paper: "The published method: truncated-normal draws, correlated by Cholesky factors over slices and latent dimensions.",
  copula: "Gaussian copula: the published marginals with their correlations, within the group's bounds.",
  independent: "Every code on its own from a truncated normal: the uncorrelated baseline.",
};

/** What the atlas's reference hearts may be called. */
export function referenceHearts({ kind }: { kind?: "patients" | "phantom" | "unknown" }): string {
  return { patients: "patients", phantom: "phantoms", unknown: "reference hearts" }[kind ?? "unknown"];
}

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
