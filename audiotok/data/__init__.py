"""Corpora: clips of sound with what is known of them (text, speaker, label, reference).

    corpus = audiotok.data.load("bundled")            # ships with the package
    corpus = audiotok.data.load("path/to/folder")     # its manifest.tsv, or every sound below it
    corpus = audiotok.data.load("librispeech/test-clean")   # downloaded once

Named corpora are the modules of this folder without a leading underscore: `NAMES`, `load(name)`,
and `place(name)`, the folder of one that is downloaded.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from audiotok.errors import CorpusError
from audiotok.system.names import Recorded

if TYPE_CHECKING:
    from audiotok.sound.audio import Audio


@dataclass(frozen=True)
class Clip:
    """One recording.

    Attributes:
        id: unique in its corpus, stable, and safe as the name of a file.
        path: the sound file.
        text, speaker, label: what is said, by whom, what it is; None where not known.
        licence: of this recording, where its corpus says it.
        split: "train", "validation" or "test", where its corpus says it.
        reference: the original of which this file is already a reconstruction, if it is one.
    """

    id: str
    path: Path | None = None
    text: str | None = None
    speaker: str | None = None
    label: str | None = None
    licence: str | None = None
    reference: Path | None = None
    split: str | None = None

    def read(self) -> Audio:
        """The sound, read anew each time; AudioError says what is wrong with the file."""
        from audiotok.sound.audio import read

        if self.path is None:
            raise CorpusError(f"the clip {self.id} has no sound file")
        return read(self.path)

    def original(self) -> Audio:
        """The sound before any codec: of the reference where there is one, else of the file."""
        return (replace(self, path=self.reference) if self.reference else self).read()


@dataclass(frozen=True)
class Corpus:
    """Clips in a fixed order.

    Attributes:
        name: short, for tables.
        clips: at least one.
        grammar: path of a JSGF grammar that covers every text, where there is one.
        licence: of the whole, None where not known.
        trials: pairs of clips for speaker verification, where the corpus names them: (the same
            speaker?, id, id).
    """

    name: str
    clips: tuple[Clip, ...]
    grammar: str | None = None
    licence: str | None = None
    trials: tuple[tuple[bool, str, str], ...] = ()

    def __iter__(self) -> Iterator[Clip]:
        return iter(self.clips)

    def __len__(self) -> int:
        return len(self.clips)

    def first(self, n: int) -> Corpus:
        """The first `n` clips."""
        if n < 1:
            raise CorpusError(f"a limit of {n} clips leaves nothing: give 1 or more")
        return replace(self, clips=self.clips[:n])

    def is_speech(self, clip: Clip) -> bool:
        """Whether speech is expected: it has a text or a speaker, or no clip here has either."""
        return bool(clip.text or clip.speaker) or not self._tells_speech

    @cached_property
    def _tells_speech(self) -> bool:
        return any(clip.text or clip.speaker for clip in self.clips)

    @cached_property
    def sha256(self) -> str:
        """Of what the clips are: ids, texts, speakers, labels, splits, the bytes of files, the
        grammar, the trials."""
        total = hashlib.sha256()
        for clip in self.clips:
            row = [clip.id, clip.text, clip.speaker, clip.label]
            row += [_file_sha256(path) for path in (clip.path, clip.reference)]
            row += [clip.split] if clip.split else []
            total.update(json.dumps(row).encode() + b"\n")
        total.update(_file_sha256(self.grammar).encode())
        if self.trials:
            total.update(json.dumps(self.trials).encode())
        return total.hexdigest()


def names() -> list[str]:
    """The named corpora; any folder, manifest or sound file is a corpus too."""
    return sorted(name for family in _families() for name in family.NAMES)


def load(source: str | Path, limit: int | None = None) -> Corpus:
    """A corpus by name or by path. One that a file names (`names.Recorded`) is not downloaded.

    Args:
        source: one of `names()`; a folder; a manifest (.tsv, .csv, .jsonl); or one sound file.
            Names win over folders of the working directory where they have no slash; say ./name.
        limit: keep only the first clips.

    Raises CorpusError with the one thing that is wrong.
    """
    corpus = _find(source)
    return corpus if limit is None else corpus.first(limit)


def _families() -> list:
    found = [m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_")]
    return [importlib.import_module(f"{__name__}.{name}") for name in sorted(found)]


def _find(source: str | Path) -> Corpus:
    from audiotok.data import _folder, _manifest

    path, name = Path(source).expanduser(), str(source)
    if not ("/" in name and path.exists()):
        for family in _families():
            if name in family.NAMES:
                place = getattr(family, "place", None)  # of a corpus that is downloaded
                if isinstance(source, Recorded) and place and not place(name).is_dir():
                    raise CorpusError(source.refusal("corpus", "which is not on this machine"))
                return family.load(name)
    if path.is_dir():
        return _folder.load(path)
    if path.is_file():
        return _manifest.load(path) if path.suffix.lower() in _manifest.FORMATS else _single(path)
    raise CorpusError(
        f"{name} is neither a file, a folder nor a corpus by name; by name there are: "
        f"{', '.join(names())}"
    )


def _single(path: Path) -> Corpus:
    from audiotok.data import _folder, _ids

    if path.suffix.lower() not in _folder.EXTENSIONS:
        raise CorpusError(
            f"{path} is neither a manifest (.tsv, .csv, .jsonl) nor a sound file "
            f"({', '.join(_folder.EXTENSIONS)})"
        )
    return Corpus(path.stem, (Clip(_ids.derive([path.name])[0], path),))


def _file_sha256(path: str | Path | None) -> str:
    if path is None:
        return ""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as reason:
        raise CorpusError(f"{path} cannot be read: {reason.strerror or reason}") from reason
