"""A real server on a free port with a real model, and Debian's Chromium to look at it."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn

from cardiomorph.latent.atlas import Atlas
from cardiomorph.latent.library import find_atlas
from cardiomorph.viewer.server import create_app
from cardiomorph.viewer.stage import Stage

FLAGS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--enable-unsafe-swiftshader",
)


@contextmanager
def served(app) -> Iterator[str]:
    """The address of an application that runs while the block does."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join(10)


@pytest.fixture(scope="session")
def shipped() -> Stage:
    """The stage of a model that ships."""
    return Stage(Atlas(find_atlas("acdc-small")))


@pytest.fixture(scope="session")
def address(shipped: Stage) -> Iterator[str]:
    with served(create_app(shipped)) as found:
        yield found


@pytest.fixture(scope="session")
def chromium():
    """A browser. Without Chromium the test skips, unless CARDIOMORPH_BROWSER=required."""
    path = shutil.which("chromium")
    if path is None:
        if os.environ.get("CARDIOMORPH_BROWSER") == "required":
            pytest.fail("Chromium is required here and missing: apt-get install chromium")
        pytest.skip("Chromium is not installed: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()
