"""Given reconstructions: a manifest says of each sound who made it and what the original is.

The columns `codec` and `reference` of the manifest become one subject for each codec. All
reconstructions of one original are one clip, so that codecs can be compared clip by clip. A row
that is the reference of others is no reconstruction: it belongs to the row "reference" of the
table. If it names a codec, the original is not there, and this codec's sound stands in for it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from audiotok.data import Clip, Corpus, _ids
from audiotok.errors import CorpusError
from audiotok.results.results import GIVEN, REFERENCE

ORIGINAL = ("original", "gt", "ground truth")  # what a manifest may name instead of a codec


@dataclass(frozen=True)
class Given:
    """The reconstructions of a corpus.

    Attributes:
        originals: one clip for each reference; may be empty.
        codecs: the reconstructions of each codec, named as in the manifest; GIVEN where it names
            none.
        stand_in: the codec whose sound stands in for the originals; None if they are originals.
    """

    originals: tuple[Clip, ...]
    codecs: dict[str, tuple[Clip, ...]]
    stand_in: str | None

    @property
    def clips(self) -> tuple[Clip, ...]:
        """The originals, and the reconstructions without one."""
        alone = (c for clips in self.codecs.values() for c in clips if c.reference is None)
        return (*self.originals, *alone)


def of(corpus: Corpus, limit: int | None = None) -> Given:
    """The reconstructions of a corpus; of its first `limit` originals.

    Raises:
        CorpusError: there is none; one has neither a codec nor a reference; a codec made two of
            one original; or a codec is called "reference".
    """
    ids = _original_ids(corpus)
    originals, stand_ins = {}, set()
    found: dict[str, dict[str, Clip]] = {}
    for clip in corpus:
        if clip.path in ids:
            originals[clip.path] = replace(clip, id=ids[clip.path], reference=None)
            stand_ins.add(clip.codec)
            continue
        if clip.codec is None and clip.reference is None:
            raise CorpusError(
                f"{corpus.name}: the clip {clip.id} names neither a codec nor a reference: "
                "expected a reconstruction, or a sound that is the reference of another row"
            )
        if clip.codec == REFERENCE:
            raise CorpusError(
                f"{corpus.name}: a codec is named {REFERENCE!r}, as the row of the originals: give "
                "it another name"
            )
        own = found.setdefault(clip.codec or GIVEN, {})
        name = ids.get(clip.reference, clip.id)
        if (other := own.setdefault(name, replace(clip, id=name))).path != clip.path:
            raise CorpusError(
                f"{corpus.name}: {clip.codec or GIVEN} has two reconstructions of {name}, "
                f"{other.path} and {clip.path}: remove one, or name two codecs"
            )
        if clip.reference is not None:  # unless it has a row of its own
            originals.setdefault(clip.reference, replace(own[name], path=clip.reference))
    if not found:
        raise CorpusError(
            f"{corpus.name} has no reconstructions: expected a manifest with the columns codec "
            "(who made the sound) and reference (the original, where there is one)"
        )
    kept = [replace(c, reference=None, codec=None) for c in originals.values()][:limit]
    names = {clip.id for clip in kept}
    codecs = {
        codec: tuple(c for c in own.values() if c.reference is None or c.id in names)[:limit]
        for codec, own in found.items()
    }
    named = sorted(codec for codec in stand_ins if codec and codec.lower() not in ORIGINAL)
    return Given(
        tuple(kept), {codec: own for codec, own in codecs.items() if own}, ", ".join(named) or None
    )


def _original_ids(corpus: Corpus) -> dict[Path, str]:
    """{reference: id}, derived from their paths below the folder that they share."""
    paths: Sequence[Path] = list(dict.fromkeys(c.reference for c in corpus if c.reference))
    if not paths:
        return {}
    folder = os.path.commonpath([path.parent for path in paths])
    ids = _ids.derive([os.path.relpath(path, folder) for path in paths])
    return dict(zip(paths, ids, strict=True))
