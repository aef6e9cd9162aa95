"""The session shows what `synthesize` writes, remembers it for a while, and serves several people at once."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from pydantic import ValidationError

from cardiomorph.anatomy import PHASES
from cardiomorph.errors import CardiomorphError
from cardiomorph.synthesis.heart_synthesis import synthesize_heart
from cardiomorph.viewer import session as module
from cardiomorph.viewer.session import Choice, Session


@pytest.fixture
def session(atlas):
    return Session(atlas)


def choice(**changes):
    return Choice(target="DCM", severity=0.7, seed=3, **changes)


def test_the_session_shows_what_synthesize_writes(session, atlas):
    heart = synthesize_heart(atlas, choice().job())
    for phase in PHASES:
        label, image = (session.volume(choice(), phase, kind) for kind in ("label", "image"))
        np.testing.assert_array_equal(label.array, heart.labels[phase].array)
        np.testing.assert_array_equal(image.array, heart.images[phase].array)
        assert label.spacing_mm == heart.labels[phase].spacing_mm == session.scene(choice()).spacing_mm(phase)
    assert session.scene(choice()).measures == heart.measures


def test_a_shift_moves_the_codes_by_standard_deviations(session, atlas):
    still, moved = session.scene(choice()), session.scene(choice(shift=(0.0, 2.0)))
    spread = atlas.description["diagnostics"]["latent"]["sd_of_means"]
    change = moved.drawn.trajectory.codes["ES"] - still.drawn.trajectory.codes["ES"]
    np.testing.assert_allclose(change[:, 1], 2 * spread[1])
    np.testing.assert_allclose(change[:, [0, 2, 3]], 0)


def test_a_parent_is_painted_once_whatever_disease_it_is_on_its_way_to(session, monkeypatch):
    painted, original = [], module.image_slices
    monkeypatch.setattr(module, "image_slices", lambda *given: painted.append(given) or original(*given))
    first = dict(session.images(Choice(target="DCM", severity=0)))
    second = dict(session.images(Choice(target="HCM", severity=0, sampler="paper")))
    assert len(painted) == 2
    np.testing.assert_array_equal(first["ES"], second["ES"])
    assert len(dict(session.images(Choice(target="HCM", severity=0, version=2)))) == 2
    assert len(painted) == 4


def test_what_was_made_is_kept_for_a_while_and_no_longer(session, monkeypatch):
    made = []
    original = module.draw_heart
    monkeypatch.setattr(module, "draw_heart", lambda atlas, job: (made.append(job.severity), original(atlas, job))[1])
    small = Session(session.atlas, scenes=2)
    for severity in (0.1, 0.2, 0.1, 0.3, 0.2):
        small.shape(Choice(target="DCM", severity=severity))
    assert made == [0.1, 0.2, 0.3, 0.2]


def test_two_people_see_their_own_hearts(session, atlas):
    choices = [Choice(target="DCM", severity=s / 8, seed=3) for s in range(8)] * 2
    with ThreadPoolExecutor(4) as pool:
        scenes = list(pool.map(session.scene, choices))
    for asked, scene in zip(choices, scenes, strict=True):
        assert scene.drawn.job.severity == asked.severity
        np.testing.assert_array_equal(scene.labels["ED"], Session(atlas).scene(asked).labels["ED"])


def test_nonsense_is_refused(session):
    with pytest.raises(CardiomorphError, match="target: Input should be 'NOR'"):
        session.scene(Choice(target="XYZ"))
    with pytest.raises(CardiomorphError, match="no sampler 'magic'"):
        session.scene(Choice(target="DCM", sampler="magic"))
    with pytest.raises(ValidationError):
        Choice(severity=1.5)
