"""The viewer as one file: the page, its script and style, and every heart that it can show, computed beforehand."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardiomorph.anatomy import HEALTHY
from cardiomorph.errors import CardiomorphError
from cardiomorph.progress import track
from cardiomorph.viewer.page_files import PAGE
from cardiomorph.viewer.recipe import recipe
from cardiomorph.viewer.schemas import atlas_facts, beat_line, latent_facts, painted_phase, scene_facts, shape_facts
from cardiomorph.viewer.session import Choice, Session

SEVERITIES = (0.0, 0.25, 0.5, 0.75, 1.0)


def frozen_page(
    session: Session,
    *,
    source: str,
    seed: int = 0,
    targets: Sequence[str] = (),
    severities: Sequence[float] = SEVERITIES,
) -> str:
    """The page as HTML: morphs of one heart to diseases (all without ``targets``), each with its images and its beat.

    Raises:
        CardiomorphError: the atlas has no such heart, or the page was not built.
    """
    facts = atlas_facts(session, {}, report=False)
    targets = list(targets) or facts.targets
    choices = [Choice(source=source, target=t, seed=seed, severity=s) for t in targets for s in severities]
    labels, scenes, images, beats, recipes = {}, {}, {}, {}, {}
    for choice in track(choices, "hearts", len(choices)):
        key, scene = f"{choice.target}/{choice.severity:g}", session.scene(choice)
        scenes[key] = scene_facts(session, choice, scene).model_dump()
        recipes[key] = recipe(session, choice).model_dump()
        # A parent is the same on its way to any disease.
        look = key if choice.severity else HEALTHY
        if look not in images:
            labels[look] = shape_facts(session, choice).phases.model_dump()
            images[look] = [painted_phase(p, _coarse(image)).model_dump() for p, image in session.images(choice)]
            beats[look] = [beat_line(moment).model_dump() for moment in session.beat(choice, images=False)]
    sampler = choices[0].sampler
    there = {"sources": [source], "scanned": [], "targets": targets, "samplers": {sampler: facts.samplers[sampler]}}
    return _single_file(
        {
            "atlas": facts.model_dump() | there,
            "latent": latent_facts(session).model_dump(),
            "severities": list(severities),
            "labels": labels,
            "scenes": scenes,
            "images": images,
            "beats": beats,
            "recipes": recipes,
        }
    )


def _coarse(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """64 grey levels: half the bytes of 256, and no eye sees it."""
    return np.rint((image + 1.0) * 31.5).astype(np.float32) / 31.5 - 1.0


def _single_file(frozen: dict[str, Any]) -> str:
    """The built page with its script, style and data inside."""
    if not (PAGE / "index.html").is_file():
        raise CardiomorphError(
            "the viewer's page was not built", where=PAGE, fix="Run 'npm ci && npm run build' in web/"
        )
    html = (PAGE / "index.html").read_text()
    scripts = re.findall(r'<script type="module"[^>]* src="([^"]+)"></script>', html)
    script = "\n".join((PAGE / name).read_text() for name in scripts).replace("</script", "<\\/script")
    data = json.dumps(frozen, separators=(",", ":")).replace("<", "\\u003c")
    html = re.sub(r'<script type="module"[^>]*></script>', "", html)
    html = re.sub(
        r'<link rel="stylesheet"[^>]* href="([^"]+)">',
        lambda found: f"<style>{(PAGE / found[1]).read_text()}</style>",
        html,
    )
    tail = f'<script type="application/json" id="frozen">{data}</script><script type="module">{script}</script></body>'
    return html.replace("</body>", tail)
