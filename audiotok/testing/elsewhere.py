"""What the other process does: loads the codec by its name, encodes, and decodes foreign tokens."""

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
    """Reads request.json, the sounds and the tokens in `folder`; puts its own beside them."""
    place = Path(folder)
    request = json.loads((place / "request.json").read_text(encoding="utf-8"))
    torch.set_num_threads(request["threads"])
    result: dict[str, str] = {}
    try:
        codec = registry.load(request["name"], request["checkpoint"], request["device"], quiet=True)
        result["fingerprint"] = codec.fingerprint
        _code(codec, place, request["rates"])
    except Exception as reason:  # the codec may be anybody's; whoever asked wants to know
        result["error"] = described(reason)
    (place / "answer.json").write_text(json.dumps(result), encoding="utf-8")


def _code(codec: Codec, place: Path, rates: list[int]) -> None:
    for index in range(len(rates)):  # tokens first: nothing was encoded here yet
        sound = codec.decode(Tokens.load(place / f"{index}.atok"))
        np.save(place / f"{index}.answer.npy", sound.waveform.numpy())
    for index, rate in enumerate(rates):
        audio = Audio(torch.from_numpy(np.load(place / f"{index}.npy")), rate)
        codec.encode(audio).save(place / f"{index}.answer.atok")
