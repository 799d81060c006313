"""A codec as a Python object: its text and table in a notebook, copies, pickling, devices."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import torch

from audiotok.codec.card import CodecCard
from audiotok.codec.inference import plain_state
from audiotok.errors import CodecError
from audiotok.system import notebook


class Portable:
    """The object protocol of a codec; a base class of `Codec`."""

    FOUND_BY: ClassVar[Callable | None] = (
        None  # returns the class, if its module cannot be imported by name
    )

    FILES: ClassVar[str | None] = None  # family in the metadata of files, where no card has it

    card: CodecCard
    network: torch.nn.Module | None
    device: torch.device
    checkpoint: Path | None

    def __reduce__(self) -> tuple:
        """Rebuilt from card and checkpoint, with the current weights."""
        plain = str | int | float | None
        settings = {key: value for key, value in vars(self).items() if isinstance(value, plain)}
        state = None if self.network is None else plain_state(self.network)
        family = vars(type(self)).get("FOUND_BY") or type(self)
        return _rebuild, (family, self.card, str(self.device), self.checkpoint, settings, state)

    def __deepcopy__(self, memo: dict) -> Portable:
        other = object.__new__(type(self))
        memo[id(self)] = other
        vars(other).update(copy.deepcopy(vars(self), memo))
        return other

    def __repr__(self) -> str:
        facts = self._facts()
        about = ", ".join(facts[key] for key in ("sample rates", "codes"))
        return (
            f"<{type(self).__name__} {self.card.name}: {about}; "
            f"weights: {facts['weights']}; on {self.device}>"
        )

    def _repr_html_(self) -> str:
        card = self.card
        about = {"codec": card.name, "description": card.description} | self._facts()
        about |= {
            "device": str(self.device),
            "streams": "yes" if card.streamable else f"no: {card.not_streamable}",
            "licence of the weights": card.licence_weights or "–",
            "training data": ", ".join(card.training_data) or "–",
            "verified": card.verified,
        }
        return notebook.table(about.items())

    def _facts(self) -> dict[str, str]:
        """Rates, codes and weights, for people."""
        card = self.card
        codes = "a byte stream"
        if not card.byte_stream:
            sizes = "/".join(map(str, sorted(set(card.codebook_sizes))))
            codes = (
                f"{card.frame_rate:g} frames per second, {card.num_codebooks} codebook(s) of "
                f"{sizes}, {card.bitrate:g} bit/s"
            )
        return {
            "sample rates": f"{card.sample_rate_in} Hz in, {card.sample_rate_out} Hz out",
            "codes": codes,
            "weights": "none" if self.network is None else str(self.checkpoint),
        }

    def to(self, device: str | torch.device) -> Portable:
        """Moves the network, as `torch.nn.Module.to` does; returns the codec."""
        try:
            device = torch.device(device)
            if self.network is not None:
                self.network.to(device)
        except (RuntimeError, AssertionError) as reason:
            line = str(reason).splitlines()[0]
            raise CodecError(f"{self.card.name} cannot move to {device}: {line}") from reason
        for codec in (self, *vars(self).values()):  # also codecs that this one contains
            if isinstance(codec, Portable):
                codec.device = device
        return self


def _rebuild(
    family: type[Portable] | Callable[[], type[Portable]],
    card: CodecCard,
    device: str,
    checkpoint: Path | None,
    settings: dict[str, object],
    state: dict[str, torch.Tensor] | None,
) -> Portable:
    """The unpickled codec; see `Portable.__reduce__`."""
    family = family if isinstance(family, type) else family()
    codec = family(card, device, checkpoint)
    vars(codec).update(settings)
    if state is not None:
        codec.network.load_state_dict(state)
    return codec
