"""Training and test clips of a head; the same for every codec.

The corpus's own split is used, if it has one (without its validation part, because nothing is
selected on it). Otherwise a fifth of the clips of each class are test clips, chosen by the sha256
of their ids, at least one if there are two; for speaker verification a fifth of the speakers, at
least two.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audiotok.errors import CorpusError

if TYPE_CHECKING:
    from audiotok.data import Corpus

TEST_EVERY = 5  # every fifth clip (or speaker) is for the test
MIN_SPEAKERS = 10  # training speakers: fewer do not generalise


@dataclass(frozen=True)
class Split:
    """Indexes of clips, in the order of the corpus, and the classes that the head is trained on."""

    train: tuple[int, ...]
    test: tuple[int, ...]
    classes: tuple[str, ...]


def by_class(corpus: Corpus, classes: Sequence[str | None]) -> Split:
    """Clips with a class; test clips of a class without training clips are dropped.

    Raises:
        CorpusError: there are fewer than two classes, or no test clips.
    """
    train, test = _parts(corpus, classes)
    train_classes = {classes[index] for index in train}
    test = [index for index in test if classes[index] in train_classes]
    if len(train_classes) < 2:
        raise CorpusError(
            f"the training clips have {len(train_classes)} classes: expected 2 or more"
        )
    if not test:
        raise CorpusError("no test clip has a class of the training clips")
    return Split(tuple(train), tuple(test), tuple(sorted(train_classes)))


def of_texts(corpus: Corpus, texts: Sequence[str]) -> Split:
    """Clips with a text; the classes are the letters of the training texts."""
    train, test = _parts(corpus, ["text" if text else None for text in texts])
    if not train or not test:
        raise CorpusError(f"{len(train)} clips to train on and {len(test)} to test have a text")
    letters = {letter for index in train for letter in texts[index]}
    return Split(tuple(train), tuple(test), tuple(sorted(letters)))


def of_clips(corpus: Corpus) -> Split:
    """All clips; `classes` is empty."""
    train, test = _parts(corpus, ["clip"] * len(corpus))
    if not train or not test:
        raise CorpusError(f"{len(train)} clips to train on and {len(test)} to test")
    return Split(tuple(train), tuple(test), ())


def by_speaker(corpus: Corpus) -> Split:
    """Test speakers are disjoint from training speakers; the classes are the training speakers."""
    speakers = [clip.speaker for clip in corpus]
    if corpus.trials or any(clip.split for clip in corpus):
        train, test = _parts(corpus, speakers)
    else:
        ordered = sorted({s for s in speakers if s}, key=_hash)
        test_speakers = set(ordered[: max(2, round(len(ordered) / TEST_EVERY))])
        train = [
            i for i, speaker in enumerate(speakers) if speaker and speaker not in test_speakers
        ]
        test = [i for i, speaker in enumerate(speakers) if speaker in test_speakers]
    test_speakers = {speakers[index] for index in test}
    train = [index for index in train if speakers[index] not in test_speakers]
    train_speakers = {speakers[index] for index in train}
    if len(train_speakers) < MIN_SPEAKERS or len(test_speakers) < 2:
        raise CorpusError(
            f"{len(train_speakers)} speakers to train on and {len(test_speakers)} others to test: "
            f"expected {MIN_SPEAKERS} and 2 or more"
        )
    if len(test) == len(test_speakers):
        raise CorpusError("no test speaker has two clips")
    return Split(tuple(train), tuple(test), tuple(sorted(train_speakers)))


def _parts(corpus: Corpus, classes: Sequence[str | None]) -> tuple[list[int], list[int]]:
    indices = [index for index, name in enumerate(classes) if name is not None]
    if any(clip.split for clip in corpus):
        splits = [clip.split for clip in corpus]
        train, test = ([i for i in indices if splits[i] == part] for part in ("train", "test"))
        return train, test
    groups: dict[str, list[int]] = {}
    for index in indices:
        groups.setdefault(classes[index], []).append(index)
    test: set[int] = set()
    for group in groups.values():
        group.sort(key=lambda index: _hash(corpus.clips[index].id))
        test |= set(group[: max(round(len(group) / TEST_EVERY), int(len(group) > 1))])
    return [i for i in indices if i not in test], sorted(test)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
