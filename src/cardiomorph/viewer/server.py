"""The viewer's server: typed JSON over HTTP, for the page that ships with it and for anybody's own.

Jobs take turns at the one model, in a line with an end; a job whose client has gone is dropped. A server that others
can reach needs a token. No path comes from a client, and the page may not be framed or run scripts of others.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from fastapi.security import HTTPBearer
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.middleware.trustedhost import TrustedHostMiddleware

from cardiomorph.anatomy import PHASES, Phase
from cardiomorph.errors import CardiomorphError
from cardiomorph.viewer.access import AccessControl
from cardiomorph.viewer.headers import SafeHeaders
from cardiomorph.viewer.job_queue import Busy, Gone, JobQueue
from cardiomorph.viewer.opened import OpenedLine, files_of, opening
from cardiomorph.viewer.page_files import PAGE, PageFiles
from cardiomorph.viewer.recipe import Recipe, recipe
from cardiomorph.viewer.schemas import (
    AtlasFacts,
    BeatLine,
    LatentFacts,
    PaintedPhase,
    SceneFacts,
    ShapeFacts,
    atlas_facts,
    beat_line,
    latent_facts,
    painted_phase,
    painted_whole,
    scene_facts,
    shape_facts,
)
from cardiomorph.viewer.session import Choice, Session
from cardiomorph.viewer.strip import strip_png
from cardiomorph.volume import write_nifti

CLIENT_CLOSED = 499


def create_app(
    session: Session,
    *,
    hearts: Mapping[str, Choice] | None = None,
    report: Path | None = None,
    token: str | None = None,
    hosts: Sequence[str] = ("*",),
) -> FastAPI:
    """The application for one atlas.

    Args:
        hearts: those of a synthesis that was opened, by name.
        report: a report page to offer.
        token: what every request for data must carry as ``Authorization: Bearer``; None asks for nothing.
        hosts: names that the server answers to; others are refused, so that no foreign page reaches it by a name of
            its own.
    """
    app = FastAPI(title="Cardiomorph viewer", version="1", docs_url=None, redoc_url=None)
    app.add_middleware(AccessControl, token=token)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))
    app.add_middleware(SafeHeaders)
    _add_answers_to_errors(app)
    # The token was asked for already; this tells the API's description that one is needed.
    guarded, queue = [Depends(HTTPBearer(auto_error=False))] if token else [], JobQueue()
    for router in (
        _facts(session, hearts or {}, report),
        _hearts(session, queue),
        _patients(session, queue),
        _files(session, queue),
    ):
        app.include_router(router, prefix="/api", dependencies=guarded)
    _add_pages(app)
    return app


def _facts(session: Session, hearts: Mapping[str, Choice], report: Path | None) -> APIRouter:
    """What does not depend on a heart."""
    router = APIRouter()

    @router.get("/atlas")
    def atlas() -> AtlasFacts:
        """What there is to choose from, and what everything is called."""
        return atlas_facts(session, hearts, report=report is not None)

    @router.get("/latent")
    def latent() -> LatentFacts:
        """The latent space as a map, and the matrices of correlations."""
        return latent_facts(session)

    @router.get("/report", response_class=FileResponse)
    def report_page() -> FileResponse:
        """The report that was opened."""
        if report is None:
            raise CardiomorphError("no report was opened")
        return FileResponse(report, media_type="text/html")

    return router


def _hearts(session: Session, queue: JobQueue) -> APIRouter:
    """A heart, part by part, in the order in which its parts are there."""
    router = APIRouter()

    @router.post("/labels")
    async def labels(choice: Choice, request: Request) -> ShapeFacts:
        """Labels of both phases, as soon as they are there."""
        return await queue.run(request, lambda: shape_facts(session, choice))

    @router.post("/scene")
    async def scene(choice: Choice, request: Request) -> SceneFacts:
        """Everything measured on the labels."""
        return await queue.run(request, lambda: scene_facts(session, choice, session.scene(choice)))

    @router.post("/images", response_model=PaintedPhase)
    async def images(choice: Choice, request: Request) -> StreamingResponse:
        """The painted phases, a JSON line each, as soon as each is done."""
        await queue.run(request, lambda: session.shape(choice))
        return _streamed(queue, request, _painted(session, choice))

    @router.post("/beat", response_model=BeatLine)
    async def beat(choice: Choice, request: Request, images: bool = False) -> StreamingResponse:
        """The heart between ED and ES, a JSON line a moment."""
        await queue.run(request, lambda: session.shape(choice))
        return _streamed(queue, request, (beat_line(frame) for frame in session.beat(choice, images=images)))

    return router


def _painted(session: Session, choice: Choice) -> Iterator[PaintedPhase]:
    if choice.field == "heart":
        yield from (painted_phase(phase, painted) for phase, painted in session.images(choice))
        return
    for phase in PHASES:
        found = session.on_stage(choice, phase, "image")
        if found is not None:
            yield painted_whole(phase, found.array)


def _patients(session: Session, queue: JobQueue) -> APIRouter:
    """What a person opens."""
    router = APIRouter()

    @router.post(
        "/patient",
        response_model=OpenedLine,
        openapi_extra={"requestBody": {"content": {"application/octet-stream": {}}, "required": True}},
    )
    async def patient(files: Annotated[str, Query(max_length=4000)], request: Request) -> StreamingResponse:
        """Opens NIfTI files of a patient: JSON lines of how far it is; the last names the source to choose.

        The body holds the files one after the other; ``files`` is a JSON list of [name, bytes]. They are not stored.
        """
        sent = files_of(_parts(files), await request.body())
        lines = opening(session, sent)
        first = await queue.run(request, lambda: next(lines))
        return _streamed(queue, request, _told(first, lines))

    return router


def _parts(text: str) -> list[tuple[str, int]]:
    try:
        return TypeAdapter(list[tuple[str, int]]).validate_json(text)
    except ValidationError as error:
        raise CardiomorphError("not a list of files: expected [[name, bytes], ...]") from error


def _told(first: OpenedLine, rest: Iterator[OpenedLine]) -> Iterator[OpenedLine]:
    """The lines of an opening; what goes wrong after the first is told in the last, for the answer has begun."""
    yield first
    try:
        yield from rest
    except CardiomorphError as error:
        yield OpenedLine(words=_in_words(error), done=0, of=0)


def _in_words(raised: CardiomorphError) -> str:
    """Without the file that it happened with: paths of this machine are nobody's business."""
    return ". ".join(part for part in (raised.what, raised.fix) if part)


def _files(session: Session, queue: JobQueue) -> APIRouter:
    """What one leaves with."""
    router = APIRouter()

    @router.get("/volume.nii.gz", response_class=Response)
    async def volume(
        choice: Annotated[Choice, Depends(_choice)],
        phase: Literal["ED", "ES"],
        kind: Literal["label", "image"],
        request: Request,
    ) -> Response:
        """A phase's labels or image as NIfTI."""
        content = await queue.run(request, lambda: _nifti(session, choice, phase, kind))
        name = f"{choice.job().name}_{phase}{'_gt' if kind == 'label' else ''}.nii.gz"
        return _download(content, "application/gzip", name)

    @router.get("/strip.png", response_class=Response)
    async def strip(choice: Annotated[Choice, Depends(_choice)], request: Request) -> Response:
        """ED and ES, image and labels, base to apex, as a picture."""
        content = await queue.run(request, lambda: strip_png(session, choice))
        return _download(content, "image/png", f"{choice.job().name}.png")

    @router.post("/recipe")
    async def how(choice: Choice, request: Request) -> Recipe:
        """The command line, the Python and the provenance that make this heart again."""
        return await queue.run(request, lambda: recipe(session, choice))

    return router


def _add_pages(app: FastAPI) -> None:
    """The page itself and the API's description; they hold no data, so they need no token."""

    @app.get("/docs", include_in_schema=False)
    def documentation() -> FileResponse:
        return FileResponse(PAGE / "api.html")

    app.mount("/", PageFiles())


def _add_answers_to_errors(app: FastAPI) -> None:
    def answer(error: type[Exception], status: int, text: str, headers: dict[str, str] | None = None) -> None:
        @app.exception_handler(error)
        def answered(request: Request, raised: Exception) -> JSONResponse:
            return JSONResponse({"detail": text}, status_code=status, headers=headers)

    @app.exception_handler(CardiomorphError)
    def refused(request: Request, raised: CardiomorphError) -> JSONResponse:
        return JSONResponse({"detail": _in_words(raised)}, status_code=422)

    @app.exception_handler(RequestValidationError)
    def malformed(request: Request, raised: RequestValidationError) -> JSONResponse:
        # Without what was sent: it may be anything.
        found = [f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in raised.errors()[:5]]
        return JSONResponse({"detail": "; ".join(found)}, status_code=422)

    answer(Busy, 503, "too many hearts are asked for at once; try again", {"Retry-After": "2"})
    answer(Gone, CLIENT_CLOSED, "nobody waits for this any more")


def _choice(text: Annotated[str, Query(alias="choice", max_length=4000)]) -> Choice:
    """A choice given as JSON in the address, for links that download."""
    try:
        return Choice.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        raise CardiomorphError(f"not a choice: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _streamed(queue: JobQueue, request: Request, items: Iterator[BaseModel]) -> StreamingResponse:
    async def lines() -> AsyncIterator[str]:
        try:
            async for item in queue.each(request, items):
                yield item.model_dump_json() + "\n"
        except Gone:
            return

    return StreamingResponse(lines(), media_type="application/x-ndjson")


def _download(content: bytes, kind: str, name: str) -> Response:
    return Response(content, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _nifti(session: Session, choice: Choice, phase: Phase, kind: str) -> bytes:
    found = session.volume(choice, phase, kind)
    if found is None:
        raise CardiomorphError("this atlas has no image model: there are labels only")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "volume.nii.gz"
        write_nifti(path, found)
        return path.read_bytes()
