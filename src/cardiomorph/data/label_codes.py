"""What another labelling's codes mean, as people write it."""

from __future__ import annotations

from cardiomorph.anatomy import N_CLASSES
from cardiomorph.errors import CardiomorphError


def parsed_codes(text: str | None) -> dict[int, int] | None:
    """``theirs:ours,...`` as a dictionary; None for None. Raises `CardiomorphError` where it is not."""
    if text is None:
        return None
    try:
        pairs = [pair.split(":") for pair in text.split(",")]
        codes = {int(theirs): int(ours) for theirs, ours in pairs}
    except ValueError as error:
        raise CardiomorphError(f"--labels is {text!r}", fix="Write for instance 1:3,2:2,3:1") from error
    if not set(codes.values()) <= set(range(N_CLASSES)):
        raise CardiomorphError(f"--labels {text!r} names codes that are not ours", fix="Ours are 0, 1, 2 and 3")
    return codes
