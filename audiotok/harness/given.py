"""Given reconstructions: a manifest names the codec and the original of each sound.

The columns `codec` and `reference` of the manifest become one subject for each codec. All
reconstructions of one original are one clip, so that codecs can be compared clip by clip. A row
that other rows name as their reference is not a reconstruction: it belongs to the row "reference"
of the table. If it names a codec, the original is missing, and the sound of this codec stands in
for it.
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
        without_original = (
            c for clips in self.codecs.values() for c in clips if c.reference is None
        )
        return (*self.originals, *without_original)


def of(corpus: Corpus, limit: int | None = None) -> Given:
    """The reconstructions of a corpus, or of its first `limit` originals.

    Raises:
        CorpusError: there is none; one has neither a codec nor a reference; a codec has two of
            one original; or a codec is named "reference".
    """
    ids = _original_ids(corpus)
    originals, stand_ins = {}, set()
    by_codec: dict[str, dict[str, Clip]] = {}
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
                f"{corpus.name}: a codec is named {REFERENCE!r}, like the row of the originals: "
                "rename it"
            )
        clips = by_codec.setdefault(clip.codec or GIVEN, {})
        name = ids.get(clip.reference, clip.id)
        if (existing := clips.setdefault(name, replace(clip, id=name))).path != clip.path:
            raise CorpusError(
                f"{corpus.name}: {clip.codec or GIVEN} has two reconstructions of {name}, "
                f"{existing.path} and {clip.path}: remove one, or name two codecs"
            )
        if clip.reference is not None:  # a row of the original takes precedence
            originals.setdefault(clip.reference, replace(clips[name], path=clip.reference))
    if not by_codec:
        raise CorpusError(
            f"{corpus.name} has no reconstructions: expected a manifest with the columns codec "
            "(which made the sound) and reference (the original, if there is one)"
        )
    selected = [replace(c, reference=None, codec=None) for c in originals.values()][:limit]
    names = {clip.id for clip in selected}
    codecs = {
        codec: tuple(c for c in clips.values() if c.reference is None or c.id in names)[:limit]
        for codec, clips in by_codec.items()
    }
    stand_in_names = sorted(codec for codec in stand_ins if codec and codec.lower() not in ORIGINAL)
    return Given(
        tuple(selected),
        {codec: clips for codec, clips in codecs.items() if clips},
        ", ".join(stand_in_names) or None,
    )


def _original_ids(corpus: Corpus) -> dict[Path, str]:
    """{reference: id}, derived from their paths below their common folder."""
    paths: Sequence[Path] = list(dict.fromkeys(c.reference for c in corpus if c.reference))
    if not paths:
        return {}
    folder = os.path.commonpath([path.parent for path in paths])
    ids = _ids.derive([os.path.relpath(path, folder) for path in paths])
    return dict(zip(paths, ids, strict=True))
