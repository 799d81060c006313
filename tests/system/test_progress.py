"""Long sounds report their progress, in encode and decode."""

from __future__ import annotations

import pytest

import audiotok
from audiotok.system import progress
from audiotok.testing.sounds import audio, voice


@pytest.mark.parametrize("name", ["rvq-small", "mulaw"])
def test_windows_are_reported(name):
    codec = audiotok.load(name, quiet=True)
    codec.window_seconds, codec.context_seconds, codec.piece_seconds = 0.5, 0.1, 0.5
    seen = []
    with progress.listening(lambda done, total: seen.append((done, total))):
        tokens = codec.encode(audio(voice(16_000, 2.0), 16_000))
        encoded = list(seen)
        seen.clear()
        codec.decode(tokens)
    for reported in (encoded, seen):
        assert len(reported) > 2 and reported == sorted(reported)
        assert reported[-1] == (tokens.num_frames, tokens.num_frames)
    codec.encode(audio(voice(16_000, 1.0), 16_000))  # nobody listens


def test_listeners_are_nested():
    seen = []
    with progress.listening(lambda *now: seen.append(("outer", *now))):
        with progress.listening(lambda *now: seen.append(("inner", *now))):
            progress.report(1, 2)
        progress.report(2, 2)
    progress.report(3, 3)
    assert seen == [("inner", 1, 2), ("outer", 2, 2)]
