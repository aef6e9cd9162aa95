"""`cardiomorph view`: opens what was given, and serves it or folds it into one page."""

from __future__ import annotations

import ipaddress
import logging
import secrets
import socket
import threading
import webbrowser
from pathlib import Path

import uvicorn

from cardiomorph.data.cohort import Cohort
from cardiomorph.errors import CardiomorphError
from cardiomorph.files import write_text
from cardiomorph.latent.library import notice
from cardiomorph.latent.virtual import virtual_name, virtual_number
from cardiomorph.synthesis.parents import parents_of
from cardiomorph.synthesis.patients import patients_at
from cardiomorph.viewer.export import frozen_page
from cardiomorph.viewer.inputs import ViewerInputs, find_inputs
from cardiomorph.viewer.server import create_app
from cardiomorph.viewer.session import Choice, Session

_log = logging.getLogger(__name__)

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def serve(
    given: Path | None,
    *,
    cohort: Path | None = None,
    patient: Path | None = None,
    host: str = "127.0.0.1",
    port: int = 8765,
    token: str | None = None,
    browser: bool = True,
) -> None:
    """Serves until it is interrupted.

    Args:
        given: what to show, see `find_inputs`.
        cohort: prepared cohort whose subjects can be morphed too.
        patient: folder or file of the user's own patient, who is shown first.
        host, port: where to answer.
        token: what requests must carry.
        browser: open the browser.

    Raises:
        CardiomorphError: nothing to show, or an address that cannot be had.
    """
    found, session = _opened(given, cohort, patient)
    open_to_others = not is_loopback(host)
    if open_to_others and token is None:
        token = secrets.token_urlsafe(18)
    listening = _socket(host, port)
    address = _address(host, listening.getsockname()[1], token)
    app = create_app(
        session,
        hearts=_shown(found, session),
        report=found.report,
        token=token,
        hosts=("*",) if open_to_others else _LOOPBACK,
    )
    said = notice(session.atlas.folder)
    if said:
        _log.info(said)
    _log.info(f"{address}  (Ctrl-C ends the viewer)")
    if browser:
        threading.Timer(0.5, webbrowser.open, (address,)).start()
    uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2)).run(sockets=[listening])


def _shown(found: ViewerInputs, session: Session) -> dict[str, Choice]:
    """The hearts of a synthesis whose parents are there; how many others there are is said."""
    known = {*session.sources}
    hearts = {n: c for n, c in found.hearts.items() if c.source in known or virtual_number(c.source) is not None}
    if missing := len(found.hearts) - len(hearts):
        _log.warning(
            f"{missing} hearts are of patients whom the atlas does not hold: --patient or --cohort brings them"
        )
    return hearts


def _address(host: str, port: int, token: str | None) -> str:
    """The address that people can use: for a host that means all of this machine's, its name."""
    shown = socket.gethostname() if host in ("0.0.0.0", "::") else host
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/" + (f"#token={token}" if token else "")


def export_page(
    given: Path | None,
    output: Path,
    *,
    cohort: Path | None = None,
    patient: Path | None = None,
    source: str | None = None,
    seed: int = 0,
) -> Path:
    """Writes one HTML file that opens from disk.

    Raises:
        CardiomorphError: nothing to show, or an atlas without that healthy heart.
    """
    _, session = _opened(given, cohort, patient)
    source = source or next(iter(session.sources), virtual_name(1))
    write_text(output, frozen_page(session, source=source, seed=seed))
    _log.info(f"{output} ({output.stat().st_size / 1e6:.1f} MB) opens in any browser, offline")
    return output


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach that address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _opened(given: Path | None, cohort: Path | None, patient: Path | None) -> tuple[ViewerInputs, Session]:
    found = find_inputs(given)
    session = Session(found.atlas)
    cohort = cohort or found.cohort
    if cohort is not None:
        session.adopt(parents_of(Cohort(cohort), found.atlas), Path(cohort))
    if patient is not None:
        session.adopt_patients(patients_at(patient, found.atlas), Path(patient))
    return found, session


def _socket(host: str, port: int) -> socket.socket:
    """A listening socket. Raises `CardiomorphError` that names the port when it is taken."""
    try:
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(place)
    except OSError as error:
        raise CardiomorphError(
            f"cannot answer on {host} port {port} ({error.strerror or error})",
            fix="Choose another --port; 0 takes a free one",
        ) from error
    return listening
