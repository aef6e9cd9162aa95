"""Ways to draw a pseudo-pathological heart from a group's statistics: one file each, chosen by name.

Adding one is a new module with a frozen pydantic model (``name`` its literal, its settings the other fields) that has
`choice.Sampler`'s ``draw``, and one line in `SAMPLERS`: the command line, requests, provenance and the viewer read it.
"""

from __future__ import annotations

from typing import Final

SAMPLERS: Final[dict[str, str]] = {
    "population": "cardiomorph.latent.samplers.population:PopulationSampler",
    "copula": "cardiomorph.latent.samplers.copula:CopulaSampler",
    "paper": "cardiomorph.latent.samplers.paper:PaperSampler",
    "paper-standardised": "cardiomorph.latent.samplers.paper_standardised:PaperStandardisedSampler",
    "independent": "cardiomorph.latent.samplers.independent:IndependentSampler",
}
"""Name -> ``module:class``, imported when it is first asked for; the first is the default."""
