"""What the other process does: loads the codec by its name, encodes, and decodes foreign tokens."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from audiotok import registry
from audiotok.audio import Audio
from audiotok.testing.promise import described
from audiotok.tokens import Tokens


def answer(folder: str) -> None:
    """Reads request.json, the sounds and the tokens in `folder`; puts its own beside them."""
    place = Path(folder)
    request = json.loads((place / "request.json").read_text(encoding="utf-8"))
    torch.set_num_threads(request["threads"])
    try:
        said = {"fingerprint": _code(place, request)}
    except Exception as reason:  # the codec may be anybody's; whoever asked wants to know
        said = {"error": described(reason)}
    (place / "answer.json").write_text(json.dumps(said), encoding="utf-8")


def _code(place: Path, request: dict) -> str:
    codec = registry.load(request["name"], request["checkpoint"], request["device"], quiet=True)
    for index, _ in enumerate(request["rates"]):  # tokens first: nothing was encoded here yet
        sound = codec.decode(Tokens.load(place / f"{index}.atok"))
        np.save(place / f"{index}.theirs.npy", sound.waveform.numpy())
    for index, rate in enumerate(request["rates"]):
        audio = Audio(torch.from_numpy(np.load(place / f"{index}.npy")), rate)
        codec.encode(audio).save(place / f"{index}.theirs.atok")
    return codec.fingerprint
