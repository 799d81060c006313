"""The sounds of the players: bundled clips through codecs that need no download.

They lie in the folder "listening" of the site, which is a page of `audiotok report`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from audiotok.report.site.folder import LISTENING

CORPUS = "bundled"  # its licence allows redistribution
CLIPS = ("slt_0", "kal_0", "music_melody")
CODECS = ("opus-6k", "opus-12k", "lyra-v2:codebooks=16", "rvq-small", "wavtokenizer-mini")


def make(root: Path) -> Path | None:
    """Writes the page of CLIPS through those of CODECS whose weights are on this machine into the
    folder "listening" of the site `root`; returns its path, or None if there is one already.
    """
    from audiotok import data
    from audiotok.codec import checkpoints, registry
    from audiotok.report import listening

    if (root / LISTENING).exists():
        return None
    names = []
    for name in CODECS:
        card = registry.find_card(name)
        bundled = card.weights is None or card.weights.bundled
        if bundled or checkpoints.local_path(card).is_file():
            names.append(name)
    clips = listening.choose(data.load(CORPUS).clips, CLIPS)
    loaded = [registry.load(name, quiet=True) for name in names]
    return listening.write(loaded, clips, root / LISTENING, corpus=CORPUS)


def read(root: Path) -> dict[str, Any] | None:
    """{"codecs": names, "clips": [{"id", "text", "seconds", "files": {name: path in the site}}]} of
    the listening page in the site; None if it has none, or none of clips that may be redistributed.
    """
    try:
        description = json.loads((root / LISTENING / "about.json").read_bytes())
        if description["corpus"] != CORPUS:
            return None
        page = {"codecs": [str(name) for name in description["codecs"]], "clips": []}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    try:
        for clip in json.loads((root / LISTENING / "sounds.json").read_bytes()):
            files = {
                str(name): f"{LISTENING}/{file}"
                for name, file in clip["files"].items()
                if (root / LISTENING / file).is_file()
            }
            description = {"id": str(clip["id"]), "text": clip["text"], "seconds": clip["seconds"]}
            page["clips"].append(description | {"files": files})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        page["clips"] = []  # a page of an earlier version, without the list of its sounds
    return page
