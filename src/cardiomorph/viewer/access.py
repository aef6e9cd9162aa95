"""Who may ask, and how much: settled from a request's first lines, before any of its body is read."""

from __future__ import annotations

import secrets
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cardiomorph.viewer.opened import MAX_BYTES

MAX_BODY_BYTES = 64 * 2**10
"""A choice takes some hundred bytes."""
LARGER: Final[dict[str, int]] = {"/api/patient": MAX_BYTES}
"""By path, bytes of bodies that hold more than a choice."""
_DATA = "/api/"
# What a browser says of a request's origin; "none" is an address that a person typed.
_OWN = ("same-origin", "none", None)


class AccessControl:
    """ASGI middleware before everything that serves data.

    Refuses requests of other sites' pages (403), those without the token (401), and bodies larger than allowed (413),
    whether or not their length is told beforehand.
    """

    def __init__(self, app: ASGIApp, token: str | None = None) -> None:
        self.app, self.token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(_DATA):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        most = LARGER.get(scope["path"], MAX_BODY_BYTES)
        refusal = self._refusal(headers, most)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        taken = 0

        async def bounded() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > most:
                # Its length was not told; nobody reads on.
                raise ClientDisconnect
            return message

        await self.app(scope, bounded, send)

    def _refusal(self, headers: Headers, most: int) -> JSONResponse | None:
        if headers.get("sec-fetch-site") not in _OWN:
            return _said(403, "this server answers its own page only")
        given = headers.get("authorization", "").removeprefix("Bearer ")
        if self.token is not None and not secrets.compare_digest(given.encode(), self.token.encode()):
            return _said(401, "this server asks for its token", {"WWW-Authenticate": "Bearer"})
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > most:
            return _said(413, f"a request has at most {most} bytes")
        return None


def _said(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": detail}, status_code=status, headers=headers)
