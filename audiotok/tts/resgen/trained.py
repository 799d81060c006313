"""The file of a trained ResGen: weights in half precision, codewords exact, codec and phones.

The file's metadata METADATA_KEY is JSON: the model's sizes, the codec, and the phones.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from audiotok.codec import checkpoints
from audiotok.errors import CheckpointError
from audiotok.system.names import Recorded
from audiotok.tts.resgen.model import ResGen, ResGenConfig

METADATA_KEY = "audiotok_resgen"  # one key, because safetensors writes several in random order


@dataclass(frozen=True)
class About:
    """What a model speaks with.

    Attributes:
        codec: its name, and the `fingerprint` of its codebooks.
        frame_rate: of the codes, Hz.
        phones: in the order of their ids.
    """

    codec: str
    fingerprint: str
    frame_rate: float
    phones: tuple[str, ...]


def save(path: str | Path, model: ResGen, about: About) -> None:
    """Writes a model: parameters as float16, codewords and deviations as they are."""
    exact = dict(model.named_buffers())
    state = {
        name: (value if name in exact else value.half()).detach().contiguous().cpu()
        for name, value in model.state_dict().items()
    }
    content = {"config": model.config.model_dump(mode="json"), "about": asdict(about)}
    checkpoints.save(path, state, {METADATA_KEY: json.dumps(content)})


def load(path: str | Path, device: str = "cpu") -> tuple[ResGen, About]:
    """The model of a file, in eval mode and float32, and what it speaks with.

    Raises:
        CheckpointError: unreadable, damaged, or no model of ResGen.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = (file.metadata() or {}).get(METADATA_KEY)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot read {path}: {' '.join(str(error).split())}") from error
    if metadata is None:
        raise CheckpointError(f"{path} is no model of ResGen: expected what its training wrote")
    try:
        content = json.loads(metadata)
        config = ResGenConfig.model_validate(content["config"])
        said = content["about"]
        about = About(
            Recorded(said["codec"], str(path)), str(said["fingerprint"]),
            float(said["frame_rate"]), tuple(map(str, said["phones"])),
        )  # fmt: skip
        if len(about.phones) != config.phones:
            raise ValueError(f"{len(about.phones)} names of {config.phones} phones")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as reason:
        line = " ".join(str(reason).split())[:200]
        raise CheckpointError(f"{path} is damaged: its metadata are invalid ({line})") from reason
    state, _ = checkpoints.read_state(path)
    with checkpoints.sized_by(state, path):
        model = ResGen(config)
    state = {k: v.float() if v.dtype == torch.float16 else v for k, v in state.items()}
    checkpoints.load_strict(model, state, path)
    return model.to(device).eval(), about
