"""The server's description, from which the page's types are made: ``python -m cardiomorph.viewer.openapi``."""

from __future__ import annotations

import json

from cardiomorph.latent.atlas import Atlas
from cardiomorph.latent.library import default_atlas, find_atlas
from cardiomorph.viewer.server import create_app
from cardiomorph.viewer.session import Session


def description() -> str:
    """OpenAPI as JSON, the same for every atlas."""
    app = create_app(Session(Atlas(find_atlas(default_atlas()))))
    return json.dumps(app.openapi(), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    print(description(), end="")
