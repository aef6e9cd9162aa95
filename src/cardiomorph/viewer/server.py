"""The viewer's server: typed JSON over HTTP, for the page that ships with it and for anybody's own.

A server that others can reach needs a token. Nothing outside the atlas is served, no path comes from a client, and the
page may not be framed or run scripts of others.
"""

from __future__ import annotations

import base64
import gzip
import json
import secrets
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from numpy.typing import NDArray
from pydantic import BaseModel

from cardiomorph.anatomy import DISEASES, PHASES, Phase
from cardiomorph.errors import CardiomorphError
from cardiomorph.evaluation.reference import Spread
from cardiomorph.latent.samplers import SAMPLER_NAMES
from cardiomorph.latent.virtual import virtual_name
from cardiomorph.viewer.stage import Choice, Scene, Stage
from cardiomorph.volume import write_nifti

VIRTUAL_PARENTS = 8
_POLICY = "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"


class AtlasFacts(BaseModel):
    """What there is to choose from."""

    name: str
    groups: dict[str, int]
    targets: list[str]
    sources: list[str]
    samplers: list[str]
    latent_sd: list[float]
    size: int
    images: bool
    reference: dict[str, dict[str, Spread]]
    smooth: dict[str, tuple[float, float]]


class PhaseScene(BaseModel):
    """One phase's labels: gzip of uint8 in (slice, x, y) order, as base64, and what was measured on them."""

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    labels: str
    invalid_slices: int
    slices: int
    aha_mm: dict[str, float | None]


class SceneFacts(BaseModel):
    """A heart on the screen."""

    choice: Choice
    phases: dict[str, PhaseScene]
    measures: dict[str, float | None]
    smooth: dict[str, float | None]
    failures: dict[str, bool]


class PaintedPhase(BaseModel):
    """One line of the image stream: gzip of uint8 in (slice, x, y) order, as base64; 0 and 255 are -1 and 1."""

    phase: str
    shape: tuple[int, int, int]
    image: str


def packed(array: NDArray[np.uint8]) -> str:
    """Bytes of an array, gzipped, as text."""
    return base64.b64encode(gzip.compress(np.ascontiguousarray(array).tobytes(), 1)).decode()


def scene_facts(choice: Choice, scene: Scene) -> SceneFacts:
    """A scene as it goes over the wire."""
    return SceneFacts(
        choice=choice,
        phases={
            phase: PhaseScene(
                shape=scene.labels[phase].shape,
                spacing_mm=scene.spacing_mm(phase),
                labels=packed(scene.labels[phase]),
                invalid_slices=scene.invalid[phase][0],
                slices=scene.invalid[phase][1],
                aha_mm=dict(scene.aha[phase]),
            )
            for phase in PHASES
        },
        measures={k: v for k, v in scene.measures.items() if v is None or isinstance(v, float)},
        smooth=dict(scene.smooth),
        failures=dict(scene.failures),
    )


def create_app(stage: Stage, *, token: str | None = None) -> FastAPI:
    """The application for one atlas.

    Args:
        token: what every request must carry as ``Authorization: Bearer``; None asks for nothing.
    """
    app = FastAPI(title="Cardiomorph viewer", version="1", dependencies=[Depends(_guard(token))])

    @app.exception_handler(CardiomorphError)
    def unusable(request: Request, error: CardiomorphError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, status_code=422)

    @app.exception_handler(_Denied)
    def denied(request: Request, error: _Denied) -> JSONResponse:
        return JSONResponse({"detail": "this server asks for its token"}, status_code=401)

    @app.middleware("http")
    async def guarded(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await go_on(request)
        response.headers["Content-Security-Policy"] = _POLICY
        response.headers["X-Frame-Options"] = "DENY"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    @app.get("/api/atlas")
    def atlas() -> AtlasFacts:
        """What there is to choose from."""
        return _atlas_facts(stage)

    @app.post("/api/scene")
    def scene(choice: Choice) -> SceneFacts:
        """Labels of both phases and everything measured on them."""
        return scene_facts(choice, stage.scene(choice))

    @app.post("/api/images", response_model=PaintedPhase)
    def images(choice: Choice) -> StreamingResponse:
        """The painted phases, a JSON line each, as soon as each is done."""
        stage.scene(choice)
        return StreamingResponse(_lines(stage, choice), media_type="application/x-ndjson")

    @app.get("/api/volume.nii.gz")
    def volume(
        choice: Annotated[Choice, Depends(_choice)], phase: Literal["ED", "ES"], kind: Literal["label", "image"]
    ) -> Response:
        """A phase's labels or image as NIfTI."""
        content = _nifti(stage, choice, phase, kind)
        name = f"{choice.job().name}_{phase}{'_gt' if kind == 'label' else ''}.nii.gz"
        return Response(
            content, media_type="application/gzip", headers={"Content-Disposition": f'attachment; filename="{name}"'}
        )

    return app


class _Denied(Exception):
    """A request without the token."""


def _guard(token: str | None) -> Callable[[Request], None]:
    def check(request: Request) -> None:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token is not None and not secrets.compare_digest(given, token):
            raise _Denied

    return check


def _choice(text: Annotated[str, Query(alias="choice", max_length=4000)]) -> Choice:
    """A choice given as JSON in the address, for links that download."""
    try:
        return Choice.model_validate_json(text)
    except ValueError as error:
        raise CardiomorphError(f"not a choice: {error}") from error


def _atlas_facts(stage: Stage) -> AtlasFacts:
    atlas, reference = stage.atlas, stage.reference
    return AtlasFacts(
        name=atlas.folder.name,
        groups=atlas.description["groups"],
        targets=[group for group in DISEASES if group in atlas.groups],
        sources=[*atlas.parents, *(virtual_name(number + 1) for number in range(VIRTUAL_PARENTS))],
        samplers=list(SAMPLER_NAMES),
        latent_sd=atlas.description["diagnostics"]["latent"]["sd_of_means"],
        size=atlas.shape_model.config.size,
        images=atlas.has_images,
        reference=reference.measures if reference else {},
        smooth=reference.smooth if reference else {},
    )


def _lines(stage: Stage, choice: Choice) -> Iterator[str]:
    for phase, painted in stage.images(choice):
        grey = np.rint(127.5 * (np.clip(painted, -1.0, 1.0) + 1.0)).astype(np.uint8)
        line: dict[str, Any] = PaintedPhase(phase=phase, shape=grey.shape, image=packed(grey)).model_dump()
        yield json.dumps(line) + "\n"


def _nifti(stage: Stage, choice: Choice, phase: Phase, kind: str) -> bytes:
    found = stage.volume(choice, phase, kind)
    if found is None:
        raise CardiomorphError("this atlas has no image model: there are labels only")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "volume.nii.gz"
        write_nifti(path, found)
        return path.read_bytes()
