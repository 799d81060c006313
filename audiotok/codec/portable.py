"""A codec as a Python object: its text and table in a notebook, copies, pickling, devices, and the
two methods by which transformers loads and saves."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self

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
    random_weights: bool = False

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
        weights = "random" if self.random_weights else str(self.checkpoint)
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
            "weights": "none" if self.network is None else weights,
        }

    @classmethod
    def from_pretrained(cls, name: str | Path, **settings: Any) -> Self:
        """As `audiotok.load`, under the name that transformers uses.

        Args:
            name: as for `load`; also a folder that `save_pretrained` wrote, and `org/name` for
                `hub:org/name`.
            settings: `device`, `quiet`: as for `load`.
        """
        from audiotok.codec import registry, training_files

        if Path(name).is_dir():
            return registry.load(training_files.in_folder(Path(name), None), **settings)
        hub = re.fullmatch(r"[\w.-]+/[\w.-]+(@[\w.-]+)?(:.*)?", str(name))
        file = str(name).partition(":")[0].endswith((".safetensors", ".py"))
        return registry.load(f"{registry.HUB}{name}" if hub and not file else name, **settings)

    def save_pretrained(self, folder: str | Path) -> Path:
        """Writes the weights as `folder`/model.safetensors, which `from_pretrained` loads.

        Raises:
            CodecError: the codec has no weights, or loads only the files of its authors.
        """
        from audiotok.codec import registry
        from audiotok.system.files import make_folder

        if not hasattr(self, "save"):
            raise CodecError(
                f"{self.card.name} cannot be saved: it has no weights, or loads only the file of "
                "its authors"
            )
        make_folder(Path(folder))
        path = Path(folder) / registry.HUB_FILE
        if path.exists() and self.checkpoint and path.samefile(self.checkpoint):
            raise CodecError(f"{path} holds the weights of this codec: name another folder")
        self.save(path)
        return path

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
    drawn = {"random_weights": True} if settings.get("random_weights") else {}
    codec = family(card, device, checkpoint, **drawn)
    vars(codec).update(settings)
    if state is not None:
        codec.network.load_state_dict(state)
    return codec
