"""Nobody who is measured has helped to make what is measured: refused, not warned."""

from __future__ import annotations

from collections.abc import Sequence

from cardiomorph.data.cohort import Cohort
from cardiomorph.errors import CardiomorphError
from cardiomorph.latent.atlas import Atlas


def check_leaks(atlas: Atlas, pool: Cohort, pool_names: Sequence[str], test: Cohort, test_names: Sequence[str]) -> None:
    """Raises `CardiomorphError` where a test patient made the atlas, or is among those who may train.

    Hearts are known by their labels as they are prepared, so both cohorts must be prepared as the atlas's was; twins of
    a training patient stand in the same split of their cohort.
    """
    if atlas.trained_on is None:
        raise CardiomorphError(
            "does not say whose hearts made it, so a test patient may be one of them",
            where=atlas.folder,
            fix="Make the atlas again with this version",
        )
    theirs = atlas.surroundings
    for cohort in (pool, test):
        mine = (cohort.config.size, cohort.config.spacing_mm)
        if theirs is not None and mine != (theirs.size, theirs.spacing_mm):
            raise CardiomorphError(
                f"was prepared with {mine[0]} pixels of {mine[1]:g} mm, the atlas's cohort with {theirs.size} of "
                f"{theirs.spacing_mm:g}: whose hearts made the atlas cannot be seen",
                where=cohort.folder,
                fix="Prepare it as the atlas's cohort was",
            )
    digests = {name: test.load(name).labels_digest() for name in test_names}
    known = sorted(name for name, digest in digests.items() if digest in atlas.trained_on)
    if known:
        raise CardiomorphError(
            f"{len(known)} of {len(digests)} test patients made the atlas ({', '.join(known[:3])}): what it knows of "
            "them would be measured",
            where=test.folder,
            fix="Test on held-out patients (prepared with the atlas's --seed and --heldout), or on another data set",
        )
    training = {pool.load(name).labels_digest(): name for name in pool_names}
    both = sorted(name for name, digest in digests.items() if digest in training)
    if both:
        raise CardiomorphError(
            f"{len(both)} test patients are training patients, too ({', '.join(both[:3])})",
            where=test.folder,
            fix="Give a test cohort of other patients",
        )
