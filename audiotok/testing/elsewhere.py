"""The work of the other process: loads the codec by name, encodes, and decodes the given tokens."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from audiotok.codec import registry
from audiotok.codec.codec import Codec
from audiotok.sound.audio import Audio
from audiotok.testing.promise import described
from audiotok.tokens.tokens import Tokens


def answer(folder: str) -> None:
    """Reads request.json, the sounds and the tokens in `folder`; writes its results there."""
    directory = Path(folder)
    request = json.loads((directory / "request.json").read_text(encoding="utf-8"))
    torch.set_num_threads(request["threads"])
    result: dict[str, str] = {}
    try:
        codec = registry.load(request["name"], request["checkpoint"], request["device"], quiet=True)
        result["fingerprint"] = codec.fingerprint
        _code(codec, directory, request["rates"])
    except Exception as reason:  # a user's codec may raise anything; reported to the first process
        result["error"] = described(reason)
    (directory / "answer.json").write_text(json.dumps(result), encoding="utf-8")


def _code(codec: Codec, directory: Path, rates: list[int]) -> None:
    decoding = [] if codec.card.needs else range(len(rates))
    for index in decoding:  # decode first, before anything was encoded in this process
        sound = codec.decode(Tokens.load(directory / f"{index}.atok"))
        np.save(directory / f"{index}.answer.npy", sound.waveform.numpy())
    for index, rate in enumerate(rates):
        audio = Audio(torch.from_numpy(np.load(directory / f"{index}.npy")), rate)
        codec.encode(audio).save(directory / f"{index}.answer.atok")
