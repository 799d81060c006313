"""Codecs whose weights `audiotok train` and `audiotok convert` write: safetensors with the sizes of
the network in the metadata.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ValidationError
from torch import Tensor

from audiotok.codec import checkpoints
from audiotok.codec.codec import Codec
from audiotok.codec.inference import plain_state
from audiotok.errors import CheckpointError
from audiotok.nn.seanet import as_float32

# Fields of the card of such a file that only its recipe knows.
BY_RECIPE: dict[str, Any] = {
    "description": "weights from a file",
    "licence_weights": None,
    "verified": "by nobody",
}


class Trained(Codec):
    """A codec that reads and writes such files; `self.network.config` is a CONFIG."""

    CONFIG: ClassVar[type[BaseModel]]

    @classmethod
    def config_in(cls, metadata: dict[str, str], path: Path | str) -> Any:
        """The sizes of the network, a CONFIG, from the metadata of a file.

        Raises:
            CheckpointError: they are missing, or of another family.
        """
        try:
            return cls.CONFIG.model_validate_json(metadata.get("config", ""))
        except ValidationError as error:
            raise CheckpointError(
                f"{path}: the metadata hold no {cls.CONFIG.__name__}: expected a file that "
                "`audiotok convert` or `audiotok train` wrote"
            ) from error

    def compare(self, measures: dict[str, Any], path: Path) -> None:
        """Raises CheckpointError unless these fields of the card are those of the network in the
        file; a card with fewer codebooks fits."""
        for field, actual in measures.items():
            expected = getattr(self.card, field)
            if field == "codebook_sizes":
                actual = actual[: len(expected)]
            if actual != expected:
                raise CheckpointError(
                    f"{path} is not {self.card.base_name}: its {field} is {actual}, the card says "
                    f"{expected}; name the codec that it belongs to"
                )

    def save(self, path: str | Path, half: bool = False) -> None:
        """Write the weights as safetensors, with the sizes of the network in the metadata.

        Args:
            path: of the file.
            half: as float16, half the size; this rounds the codebooks, so codes may change.
        """
        metadata = {
            "family": self.card.family,
            "name": self.card.base_name.partition("@")[0],
            "config": self.network.config.model_dump_json(),
            "training_data": json.dumps(self.card.training_data),
        }
        state = plain_state(self.network)
        if half:
            state = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
        checkpoints.save(path, state, metadata)


def in_float32(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a file, as float32; the file may hold float16."""
    return {key: as_float32(tensor) for key, tensor in state.items()}
