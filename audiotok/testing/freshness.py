"""Promises on hidden state: other instances, threads and processes give the same results."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from audiotok.sound.audio import Audio
from audiotok.testing.case import MOST_CHANGED, MOST_ERROR, Case
from audiotok.testing.promise import NotChecked, promise, trying
from audiotok.testing.sounds import audio, noise, voice
from audiotok.tokens.tokens import Tokens

ROUNDS = 3  # of two threads side by side
PATIENCE = 600  # seconds for another process to start, load the codec, and code two sounds


@promise("tokens only", "decode needs the bytes of the tokens and nothing else")
def tokens_only(case: Case) -> Iterator[str]:
    codec, first = case.codec, "a voice"
    other = case.another()
    tokens = codec.encode(case.sounds[first])
    reread = Tokens.from_bytes(tokens.to_bytes())
    if not torch.equal(tokens.codes, reread.codes):
        yield "the codes change on their way through bytes"
    if not case.decodes:
        return
    expected = codec.decode(tokens)
    if not torch.equal(codec.decode(reread).waveform, expected.waveform):
        yield "tokens that went through bytes give another sound"
    codec.encode(case.sounds["noise"])
    if not torch.equal(codec.decode(reread).waveform, expected.waveform):
        yield "the same tokens give another sound after another clip was encoded"
    with trying("decoding with an instance that did not encode"):
        sound = other.decode(reread)
    if not _same_sound(sound, expected):
        yield "an instance that did not encode them gives another sound of the same tokens"


@promise("threads", "one thread or two give the same codes and sound, but for rounding")
def threads(case: Case) -> Iterator[str]:
    codec = case.codec
    if codec.device.type != "cpu":
        raise NotChecked(f"it computes on {codec.device}")
    rate = case.card.sample_rate_in
    speech = audio(voice(rate, max(0.3, 4 * case.hop / rate)), rate)
    before = torch.get_num_threads()
    results = {}
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            tokens = codec.encode(speech)
            results[count] = tokens, codec.decode(tokens) if case.decodes else None
    finally:
        torch.set_num_threads(before)
    (one, sound), (two, other) = results.values()
    share = float((one.codes != two.codes).double().mean())
    case.numbers["share of codes changed by threads"] = share
    if share > MOST_CHANGED:
        yield f"{share:.2%} of the codes change with the number of threads"
    if not case.decodes:
        return
    error = _error(sound, other)
    case.numbers["change of the sound, of its peak"] = error
    if error > MOST_ERROR:
        yield f"the sound changes by {error:.2g} of its peak with the number of threads"


@promise("simultaneous calls", "two threads at once get the codes and the sound that one gets")
def simultaneous_calls(case: Case) -> Iterator[str]:
    codec, names = case.codec, ("a voice", "noise")
    expected = {name: codec.decode(case.tokens(name)) for name in names if case.decodes}
    barrier = threading.Barrier(len(names))

    def work(name: str) -> tuple[float, float]:
        share = error = 0.0
        try:
            for _ in range(ROUNDS):
                barrier.wait(PATIENCE)
                codes = codec.encode(case.sounds[name]).codes
                share = max(share, float((codes != case.tokens(name).codes).double().mean()))
                if name in expected:
                    sound = codec.decode(case.tokens(name))
                    error = max(error, _error(sound, expected[name]))
        except Exception:
            barrier.abort()  # or the other thread would wait
            raise
        return share, error

    with ThreadPoolExecutor(len(names)) as pool, trying("encoding and decoding in two threads"):
        for name, (share, error) in zip(names, pool.map(work, names), strict=True):
            if share > MOST_CHANGED:
                yield f"{share:.2%} of the codes of {name} change beside another thread"
            if error > MOST_ERROR:
                yield f"the sound of {name} changes by {error:.2g} of its peak in two threads"


@promise("processes", "another process gives the same codes and the same sound")
def processes(case: Case) -> Iterator[str]:
    name, codec = case.loading_name, case.codec
    if codec.random_weights:
        raise NotChecked("does not apply: random weights are in no file")
    if isinstance(case._again, str):
        raise NotChecked(case._again)
    audios = {"a voice": case.sounds["a voice"], "noise": noise(3 * case.hop + 1, 44_100, 2)}
    tokens = {what: codec.encode(audio) for what, audio in audios.items()}
    with tempfile.TemporaryDirectory(prefix="audiotok-check-") as folder:
        answers = _ask(Path(folder), case, name, audios=audios, tokens=tokens)
        if answers.get("fingerprint", codec.fingerprint) != codec.fingerprint:
            yield "in another process its fingerprint is another"
        if "error" in answers:
            yield f"in another process it raises {answers['error']}"
        for index, what in enumerate(audios):
            foreign = Tokens.load(Path(folder) / f"{index}.answer.atok")
            if not torch.equal(foreign.codes, tokens[what].codes):
                yield f"in another process {what} has other codes"
            if not case.decodes:
                continue
            sound = torch.from_numpy(np.load(Path(folder) / f"{index}.answer.npy"))
            if not _same_sound(Audio(sound, codec.sample_rate), codec.decode(tokens[what])):
                yield f"another process makes another sound of the tokens of {what}"


def _ask(
    folder: Path, case: Case, name: str, *, audios: dict[str, Audio], tokens: dict[str, Tokens]
) -> dict[str, str]:
    """The answer of another process; its codes and sounds are in `folder`."""
    checkpoint = None if ".safetensors" in name else case.codec.checkpoint
    bundled = case.card.weights is not None and case.card.weights.bundled
    request = {
        "path": sys.path,
        "name": name,
        "checkpoint": None if checkpoint is None or bundled else str(checkpoint.resolve()),
        "device": str(case.codec.device),
        "threads": torch.get_num_threads(),
        "rates": [sound.sample_rate for sound in audios.values()],
    }
    for index, (what, sound) in enumerate(audios.items()):
        np.save(folder / f"{index}.npy", sound.waveform.numpy())
        tokens[what].save(folder / f"{index}.atok")
    (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"  # so that hash() differs
    program = (
        "import json, sys; sys.path[:] = json.load(open(sys.argv[1] + '/request.json'))['path'];"
        "from audiotok.testing.elsewhere import answer; answer(sys.argv[1])"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", program, str(folder)],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        raise NotChecked(f"another process was not ready after {PATIENCE} s") from None
    answer = folder / "answer.json"
    if not answer.is_file():
        last = (done.stderr.strip() or "nothing").splitlines()[-1]
        return {"error": f"nothing but ends with {done.returncode}: {last}"}
    return json.loads(answer.read_text(encoding="utf-8"))


def _same_sound(one: Audio, other: Audio) -> bool:
    """Whether two sounds are equal up to rounding, which may depend on memory alignment."""
    return one.waveform.shape == other.waveform.shape and _error(one, other) <= MOST_ERROR


def _error(one: Audio, other: Audio) -> float:
    """The largest difference, relative to the peak."""
    peak = float(other.waveform.abs().max())
    return float((one.waveform - other.waveform).abs().max()) / max(peak, 1e-6)
