"""Makes the pictures of docs/viewer.md: the viewer in headless Chromium, with hearts of virtual parents.

python benchmarks/viewer_pictures.py docs/images
"""

from __future__ import annotations

import argparse
import shutil
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import uvicorn
from playwright.sync_api import Page, sync_playwright

from cardiomorph.latent.atlas import Atlas
from cardiomorph.latent.library import find_atlas
from cardiomorph.viewer.server import create_app
from cardiomorph.viewer.session import Session

FLAGS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--enable-unsafe-swiftshader",
]


def morph(page: Page) -> None:
    page.get_by_label("Severity").fill("0.7")


def wall(page: Page) -> None:
    page.get_by_role("tab", name="Wall thickness").click()


def latent(page: Page) -> None:
    page.get_by_role("tab", name="Latent space").click()


def take_along(page: Page) -> None:
    page.get_by_role("tab", name="Export").click()


def compare(page: Page) -> None:
    page.get_by_label("Side by side with").select_option("parent")
    page.wait_for_selector("td.other")
    page.get_by_label("mark where the labels differ").check()


PICTURES: dict[str, tuple[Callable[[Page], None], str]] = {
    "viewer": (morph, "light"),
    "viewer-wall": (wall, "light"),
    "viewer-latent": (latent, "dark"),
    "viewer-compare": (compare, "dark"),
    "viewer-take-along": (take_along, "light"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--atlas", default="acdc-small")
    given = parser.parse_args()
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(Session(Atlas(find_atlas(given.atlas)))), log_level="warning"))
    threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True).start()
    address = f"http://127.0.0.1:{listening.getsockname()[1]}/"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for name, (act, scheme) in PICTURES.items():
            page = browser.new_page(viewport={"width": 1280, "height": 720}, color_scheme=scheme)  # type: ignore[arg-type]
            page.goto(address)
            page.wait_for_selector("body[data-ready]", timeout=60_000)
            page.get_by_label("Target disease").select_option("HCM")
            act(page)
            time.sleep(1)
            page.wait_for_selector(".pictures:not(:has(.painting))", timeout=60_000)
            time.sleep(1)
            page.screenshot(path=given.output / f"{name}.png")
            page.close()
            print(given.output / f"{name}.png", flush=True)
        browser.close()


if __name__ == "__main__":
    main()
