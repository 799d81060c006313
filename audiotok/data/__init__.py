"""Corpora: clips of sound with their annotations (text, speaker, label, reference).

    corpus = audiotok.data.load("bundled")            # ships with the package
    corpus = audiotok.data.load("path/to/folder")     # its manifest.tsv, or all its sound files
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
from audiotok.sound.containers import truncation_allowed
from audiotok.system.files import readable
from audiotok.system.names import Recorded

if TYPE_CHECKING:
    from audiotok.sound.audio import Audio

DOMAINS = ("speech", "music", "audio")


@dataclass(frozen=True)
class Clip:
    """One recording.

    Attributes:
        id: unique in its corpus, stable, and safe as the name of a file.
        path: the sound file.
        text, speaker, label: transcript, speaker and class; None if unknown.
        language: the spoken one, as an ISO 639 code ("en", "pt-br"); None if unknown.
        session: the recording that several clips were cut from or made in; None if unknown.
        prompt: a recording of the voice that this clip imitates; None if there is none.
        licence: of this recording, if its corpus has one.
        split: "train", "validation" or "test", if its corpus has splits.
        reference: the original, if this file is already a reconstruction.
        codec: the codec of this file, if it is a reconstruction; read by suites of given sounds.
        domain: one of DOMAINS; None if unknown.
        offset, duration: of the clip in the file, seconds; None: to the end of the file.
    """

    id: str
    path: Path | None = None
    text: str | None = None
    speaker: str | None = None
    label: str | None = None
    language: str | None = None
    licence: str | None = None
    reference: Path | None = None
    codec: str | None = None
    domain: str | None = None
    split: str | None = None
    offset: float = 0.0
    duration: float | None = None
    session: str | None = None
    prompt: Path | None = None

    @property
    def is_segment(self) -> bool:
        """Whether the clip is a part of its file."""
        return (self.offset, self.duration) != (0.0, None)

    def read(self) -> Audio:
        """Reads the sound, without caching; AudioError if the file cannot be read."""
        from audiotok.data import _segments
        from audiotok.sound.audio import read

        if self.path is None:
            raise CorpusError(f"the clip {self.id} has no sound file")
        return _segments.cut(read(self.path), (self.offset, self.duration), str(self.path))

    def original(self) -> Audio:
        """The sound before any codec: the reference if there is one, else the file."""
        return (replace(self, path=self.reference) if self.reference else self).read()


@dataclass(frozen=True)
class Corpus:
    """Clips in a fixed order.

    Attributes:
        name: short, for tables.
        clips: at least one.
        grammar: path of a JSGF grammar that covers every text, if there is one.
        licence: of the whole corpus; None if unknown.
        trials: pairs of clips for speaker verification, if the corpus has a list: (whether the
            speaker is the same, id, id).
        left_out: files of the folder that are not sound files.
    """

    name: str
    clips: tuple[Clip, ...]
    grammar: str | None = None
    licence: str | None = None
    trials: tuple[tuple[bool, str, str], ...] = ()
    left_out: tuple[Path, ...] = ()

    def __iter__(self) -> Iterator[Clip]:
        return iter(self.clips)

    def __len__(self) -> int:
        return len(self.clips)

    def first(self, n: int) -> Corpus:
        """The first `n` clips."""
        if n < 1:
            raise CorpusError(f"the limit is {n} clips: expected 1 or more")
        return replace(self, clips=self.clips[:n])

    def is_speech(self, clip: Clip) -> bool:
        """Whether the clip counts as speech: by its domain; without a domain, if it has a text or a
        speaker, or if no clip has either."""
        if clip.domain:
            return clip.domain == "speech"
        return bool(clip.text or clip.speaker) or not self._marks_speech

    def no_speech(self) -> str | None:
        """The message of tasks that measure only speech; None if some clip is speech."""
        if any(map(self.is_speech, self.clips)):
            return None
        return "no clip is speech: the column domain of the manifest says so"

    @cached_property
    def _marks_speech(self) -> bool:
        return any(clip.text or clip.speaker for clip in self.clips)

    @cached_property
    def clusters(self) -> list[dict[str, str | None]]:
        """The speaker and session of each clip; the session of segments is by default their
        file."""
        files = dict.fromkeys(clip.path for clip in self if clip.is_segment)
        file_names = {path: f"file {number}" for number, path in enumerate(files, start=1)}
        return [
            {
                "speaker": clip.speaker and readable(clip.speaker),
                "session": readable(clip.session) if clip.session else file_names.get(clip.path),
            }
            for clip in self
        ]

    @cached_property
    def sha256(self) -> str:
        """Hash of the content: ids, texts, speakers, labels, languages, codecs, domains, splits,
        sessions, the bytes of files and prompts, the grammar, the trials, and whether truncated
        files are allowed."""
        total = hashlib.sha256()
        for clip in self.clips:
            row = [clip.id, clip.text, clip.speaker, clip.label]
            row += [_file_sha256(path) for path in (clip.path, clip.reference)]
            row += [clip.split] if clip.split else []
            row += [f"language {clip.language}"] if clip.language else []
            row += [f"codec {clip.codec}"] if clip.codec else []
            row += [f"domain {clip.domain}"] if clip.domain else []
            row += [clip.offset, clip.duration] if clip.is_segment else []
            row += [{"session": clip.session}] if clip.session else []
            row += [{"prompt": _file_sha256(clip.prompt)}] if clip.prompt else []
            total.update(json.dumps(row).encode() + b"\n")
        total.update(_file_sha256(self.grammar).encode())
        if self.trials:
            total.update(json.dumps(self.trials).encode())
        if truncation_allowed():
            total.update(b"files that are cut short are read")
        return total.hexdigest()


def names() -> list[str]:
    """The named corpora; any folder, manifest or sound file is a corpus too."""
    return sorted(name for family in _families() for name in family.NAMES)


def load(source: str | Path, limit: int | None = None) -> Corpus:
    """A corpus by name or by path. A name that comes from a file (`names.Recorded`) is not
    downloaded.

    Args:
        source: one of `names()`; a folder; a manifest (.tsv, .csv, .jsonl, .json, .jsonl.gz); or
            one sound file. docs/manifests.md describes the other formats that are read. For a
            folder with the same name as a corpus, without a slash, write ./name.
        limit: keep only the first clips.

    Raises:
        CorpusError: there is no such corpus, or it is invalid.
    """
    corpus = _find(source)
    corpus = replace(corpus, name=readable(corpus.name))
    return corpus if limit is None else corpus.first(limit)


def _families() -> list:
    modules = [
        module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")
    ]
    return [importlib.import_module(f"{__name__}.{name}") for name in sorted(modules)]


def _find(source: str | Path) -> Corpus:
    from audiotok.data import _folder, _jsonl, _lhotse, _manifest

    path, name = Path(source).expanduser(), str(source)
    if name.startswith("hf:"):
        raise CorpusError(
            f"{name} is a dataset of the Hub, which only `encode` and `train` read: expected a "
            "folder, a manifest or a name; a Hub repository of sound files with metadata.csv can "
            "be read from its downloaded folder (hf download NAME --repo-type dataset)"
        )
    if not ("/" in name and path.exists()):
        for family in _families():
            if name in family.NAMES:
                folder_of = getattr(family, "place", None)  # of a corpus that is downloaded
                if isinstance(source, Recorded) and folder_of and not folder_of(name).is_dir():
                    raise CorpusError(source.refusal("corpus", "which is not on this machine"))
                return family.load(name)
    if path.is_dir():
        return _folder.load(path)
    if path.is_file():
        if _jsonl.is_jsonl(path) and _lhotse.is_lhotse(path):
            return _lhotse.load(path)
        is_manifest = path.suffix.lower() in _manifest.FORMATS or _jsonl.is_jsonl(path)
        return _manifest.load(path) if is_manifest else _single(path)
    raise CorpusError(
        f"{name} is neither a file, a folder nor the name of a corpus; named corpora: "
        f"{', '.join(names())}"
    )


def _single(path: Path) -> Corpus:
    from audiotok.data import _ids
    from audiotok.sound import folders

    if not folders.is_kind(path, folders.SOUND):
        raise CorpusError(
            f"{path} is neither a manifest (.tsv, .csv, .jsonl, .json, .jsonl.gz) nor a sound file "
            f"({', '.join(folders.SOUND)})"
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
