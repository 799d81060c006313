"""Which licences of weights allow any use, and the sign of those that do not. Imports nothing."""

from __future__ import annotations

PERMISSIVE = ("MIT", "Apache-2.0", "BSD-3-Clause", "CC-BY-4.0", "CC0-1.0")
MARK = " §"  # behind the name of a codec whose weights are restricted
NOTE = "§ the licence of the weights restricts their use"


def restricts(licence: str | None) -> bool:
    """Whether a licence is known, and is not one that allows any use."""
    return licence is not None and licence not in PERMISSIVE
