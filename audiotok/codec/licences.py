"""Which licences of weights allow any use, and the mark of all others. Imports nothing."""

from __future__ import annotations

PERMISSIVE = ("MIT", "Apache-2.0", "BSD-3-Clause", "CC-BY-4.0", "CC0-1.0")
UNCLEAR = "unclear"  # their authors published the weights and left their licence open
MARK = " §"  # behind the name of a codec whose weights are restricted
NOTE = "§ the licence of the weights restricts their use, or is unclear"


def restricts(licence: str | None) -> bool:
    """Whether a licence is known and does not allow any use, or is unclear."""
    return licence is not None and licence not in PERMISSIVE


def warning(name: str, licence: str) -> str:
    """One line about weights that a licence restricts."""
    if licence == UNCLEAR:
        return f"the licence of the weights of {name} is unclear: their authors name none"
    return f"the weights of {name} are under {licence}: see its terms"
