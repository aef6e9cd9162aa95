"""The page's files: compressed once, kept by the browser for as long as their name says that they do not change."""

from __future__ import annotations

import gzip
import re
from functools import lru_cache
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

PAGE = Path(__file__).parent / "page"
_TEXT = (".js", ".css", ".html", ".svg", ".json", ".txt")
# A name with a digest of the content in it, as the page's build makes them.
_HASHED = re.compile(r".+-[A-Za-z0-9_-]{8,}\.\w+")
# With the weight 0 a client says that it does not take it.
_GZIP = re.compile(r"\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))")


class PageFiles(StaticFiles):
    """The built page."""

    def __init__(self) -> None:
        super().__init__(directory=PAGE, html=True)

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        file = PAGE / ("index.html" if path in (".", "") else path)
        kept = "public, max-age=31536000, immutable" if _HASHED.fullmatch(file.name) else "no-cache"
        response.headers["Cache-Control"] = kept
        response.headers["Vary"] = "Accept-Encoding"
        accepted = Headers(scope=scope).get("accept-encoding", "")
        if response.status_code != 200 or not _GZIP.search(accepted) or file.suffix not in _TEXT:
            return response
        packed = _packed(file, file.stat().st_mtime_ns)
        headers = {**response.headers, "content-encoding": "gzip", "content-length": str(len(packed))}
        return Response(packed if scope["method"] == "GET" else b"", headers=headers)


@lru_cache(maxsize=64)
def _packed(file: Path, changed: int) -> bytes:
    return gzip.compress(file.read_bytes(), 9, mtime=0)
