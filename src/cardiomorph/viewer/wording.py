"""What the page says: names, units and explanations of measures, checks, samplers and structures."""

from __future__ import annotations

from typing import Final, NamedTuple

from cardiomorph.anatomy import Label


class Words(NamedTuple):
    """A name as it is written, its unit, and one sentence on what it is."""

    name: str
    unit: str = ""
    help: str = ""


STRUCTURES: Final = {Label.RV: Words("RV"), Label.MYOCARDIUM: Words("Myocardium"), Label.LV: Words("LV")}

THICKEST_SEGMENT: Final = "wall_segment_max_mm"
STROKE_VOLUME_RATIO: Final = "rv_lv_sv_ratio"
MEASURES: Final = {
    "lv_edv_ml": Words("LV EDV", "mL"),
    "lv_esv_ml": Words("LV ESV", "mL"),
    "lv_ef_pct": Words("LV EF", "%"),
    "rv_edv_ml": Words("RV EDV", "mL"),
    "rv_esv_ml": Words("RV ESV", "mL"),
    "rv_ef_pct": Words("RV EF", "%"),
    "lv_mass_g": Words("LV mass", "g"),
    "wall_max_mm": Words("Wall, thickest slice's mean, ED", "mm"),
    THICKEST_SEGMENT: Words("Wall, thickest AHA segment, ED", "mm"),
    "long_axis_mm": Words("LV length, ED", "mm"),
    STROKE_VOLUME_RATIO: Words("Stroke volume, RV / LV"),
    "lv_edv_index_ml_m2": Words("LV EDV / BSA", "mL/m²"),
    "rv_edv_index_ml_m2": Words("RV EDV / BSA", "mL/m²"),
    "lv_mass_index_g_m2": Words("LV mass / BSA", "g/m²"),
}
"""Measures of a heart, in the order in which they are shown."""

SMOOTHNESS: Final = {
    "adjacent_dice": Words(
        "Dice of adjacent slices",
        "",
        "Mean overlap of the labels of each slice with the next one's; low where slices do not fit together.",
    ),
    "area_bend_mm2": Words(
        "Area, second difference along axis",
        "mm²",
        "How abruptly the cross-sectional area changes from slice to slice.",
    ),
    "centroid_bend_mm": Words(
        "Centroid, second difference along axis",
        "mm",
        "How abruptly the centre moves sideways from slice to slice.",
    ),
    "endocardial_roughness_mm": Words(
        "Endocardial roughness", "mm", "How far the endocardial surface departs from a smooth one."
    ),
}
INVALID_SLICES: Final = Words(
    "anatomically invalid slices",
    "",
    "Labelled slices that break one of the per-slice anatomical criteria, of all labelled slices.",
)
CHECKS: Final = {
    "rv_in_pieces": Words("RV connected", "", "The RV cavity is one connected component in 3D."),
    "myocardium_in_pieces": Words("Myocardium connected", "", "The LV myocardium is one connected component in 3D."),
    "lv_in_pieces": Words("LV cavity connected", "", "The LV cavity is one connected component in 3D."),
    "structure_missing_between": Words(
        "No structure missing between slices", "", "No structure ends and begins again along the axis."
    ),
    "rv_below_apex": Words("RV ends above the LV apex", "", "No RV is labelled below the last slice of the LV."),
    "systole_not_smaller": Words(
        "Both ventricles smaller at ES",
        "",
        "The end-systolic volume of LV and RV is below the end-diastolic one.",
    ),
}
"""By the failure that each looks for (`evaluation.validity.VOLUME_CRITERIA`)."""

SAMPLERS: Final = {
    "population": "One joint Gaussian over ED and ES codes and both lengths, smooth along the axis, within the group's "
    "range.",
    "paper": "The published method: truncated-normal draws, correlated by Cholesky factors over slices and latent "
    "dimensions.",
    "paper-standardised": "The published product on draws of mean 0 and SD 1, restored afterwards, as its proof needs.",
    "copula": "Gaussian copula: the published marginals with their correlations, within the group's bounds.",
    "independent": "Every code on its own from a truncated normal: the uncorrelated baseline.",
}
"""What each sampler draws from; one that is not named here has its name only."""

REFERENCE_HEARTS: Final = {True: "patients", False: "phantoms", None: "reference hearts"}
"""What the atlas's reference hearts may be called, by whether its card says that they are people's."""
