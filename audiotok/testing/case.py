"""The codec under test, with data that several checks need: sounds, tokens, further instances."""

from __future__ import annotations

import copy
import math
import time
from functools import cached_property

import torch

from audiotok.codec import checkpoints, registry
from audiotok.codec.card import CodecCard
from audiotok.codec.codec import Codec
from audiotok.codec.variants import text_of, vary
from audiotok.errors import AudiotokError
from audiotok.sound.audio import Audio
from audiotok.testing.promise import (
    Broken,
    NotChecked,
    Outcome,
    Promise,
    described,
    trying,
)
from audiotok.testing.sounds import sounds
from audiotok.tokens.tokens import Tokens

# Rounding may differ between batch sizes and numbers of threads, and change codes of near ties. It
# does not change a larger share of codes than this.
MOST_CHANGED = 0.05
MOST_ERROR = 1e-4  # of the peak of a sound that differs in the last bits of its arithmetic


class Case:
    """One codec under test.

    Attributes:
        codec, card: of the codec under test.
        hop: samples at sample_rate_in; tested lengths are near its multiples.
        numbers: measured by the current check.
    """

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        self.card: CodecCard = codec.card
        self.decodes = not codec.card.needs  # whether it has a decoder
        self.hop = codec.card.hop_length if codec.card.hop_length > 1 else 320
        self.numbers: dict[str, float] = {}
        self._tokens: dict[str, Tokens] = {}

    @cached_property
    def sounds(self) -> dict[str, Audio]:
        return sounds(self.card.sample_rate_in)

    def tokens(self, name: str) -> Tokens:
        """The tokens of one of `sounds`, encoded once."""
        if name not in self._tokens:
            with trying(f"encoding {name}"):
                self._tokens[name] = self.codec.encode(self.sounds[name])
        return self._tokens[name]

    def separate(self, audio: Audio) -> int:
        """The number of separately coded channels of this sound."""
        return audio.channels if self.codec.options.get("channels") == "each" else 1

    def num_bits(self, tokens: Tokens) -> float:
        """The number of bits of the codes according to the card."""
        channels, count, frames = tokens.codes.shape
        pairs = zip(self.card.codebook_sizes[:count], self.card.strides, strict=False)
        bits = sum(-(-frames // stride) * math.log2(size) for size, stride in pairs)
        side = tokens.side
        return channels * bits + (0 if side is None else 8 * side.numel() * side.element_size())

    # --- further instances ---------------------------------------------------------------------

    @cached_property
    def _again(self) -> Codec | str:
        """A new instance of the same codec, or the reason why there is none."""
        codec = self.codec
        try:
            other = self._built()
        except Exception as reason:  # the constructor of a user's codec may raise anything
            return f"another instance cannot be built ({described(reason)})"
        if other.fingerprint != codec.fingerprint or not _same_weights(other, codec):
            return "another instance has other weights: they do not come from a checkpoint"
        return other

    def _built(self) -> Codec:
        return self._with(self.card)

    def _with(self, card: CodecCard) -> Codec:
        """A new instance with this card and the weights of the codec."""
        codec = self.codec
        drawn = {"random_weights": True} if codec.random_weights else {}
        return type(codec)(card, codec.device, codec.checkpoint, **drawn)

    def again(self) -> Codec | None:
        """A new instance of the same codec; None if a new instance differs."""
        return self._built() if isinstance(self._again, Codec) else None

    def another(self) -> Codec:
        """A second instance with the same weights: a new one, else a copy."""
        if isinstance(self._again, Codec):
            return self._again
        try:
            return copy.deepcopy(self.codec)
        except Exception as reason:
            raise NotChecked(f"{self._again}, and it cannot be copied: {described(reason)}") from (
                reason
            )

    def variant(self, **changes: object) -> Codec:
        """The codec with other options; None removes an option.

        Raises:
            CodecError: the card has no such option.
        """
        if isinstance(self._again, str):
            raise NotChecked(self._again)
        card = self.varied(**changes)
        with trying(f"building {card.name}"):
            return self._with(card)

    def varied(self, **changes: object) -> CodecCard:
        """The card of a variant, see `variant`."""
        options = {**self.card.options, **changes}
        texts = (f"{key}={text_of(value)}" for key, value in options.items() if value is not None)
        return vary(self.plain_card, ",".join(texts), type(self.codec).OPTIONS, self.codec.adapt)

    @cached_property
    def plain_card(self) -> CodecCard:
        """The card without options."""
        family, name = type(self.codec), self.card.base_name
        if not self.card.options:
            return self.card
        for card in family.CARDS:
            if card.name == name:
                return card
        try:
            if "@" in name:
                path = self.codec.checkpoint
                return family.card_from_metadata(
                    checkpoints.read_metadata(path), name.rpartition("@")[2]
                )
            return registry.find_card(name)
        except (AudiotokError, TypeError, OSError) as reason:
            raise NotChecked(f"its card without options is unknown ({reason})") from reason

    @cached_property
    def loading_name(self) -> str:
        """The name under which another process can load this codec."""
        card, codec = self.card, self.codec
        module = type(codec).__module__
        name = registry.name_for(type(codec), card)
        if "@" in card.base_name and codec.checkpoint is not None:
            options = card.name[len(card.base_name) :]
            name = f"{codec.checkpoint}{options}"
        try:
            loadable = name is not None and registry.find_card(name) == card
        except AudiotokError:
            loadable = False
        if not loadable:
            raise NotChecked(
                f"no other process can load {card.name}, a class of {module}, by name: check its "
                "file, `audiotok check FILE.py`"
            )
        return name


def _same_weights(one: Codec, other: Codec) -> bool:
    if one.network is None or other.network is None:
        return one.network is other.network
    first, second = one.network.state_dict(), other.network.state_dict()
    return first.keys() == second.keys() and all(
        not isinstance(first[key], torch.Tensor) or torch.equal(first[key], second[key])
        for key in first
    )


def judge(promise: Promise, case: Case) -> Outcome:
    """Checks a promise up to the first counter-example."""
    case.numbers = {}
    start = time.perf_counter()
    try:
        why = next(iter(promise.check(case)), None)
        state = "kept" if why is None else "broken"
    except NotChecked as reason:
        state, why = "not checked", str(reason)
    except Broken as reason:
        state, why = "broken", str(reason)
    except Exception as reason:  # a user's codec may raise anything
        state, why = "broken", f"raises {described(reason)}"
    seconds = time.perf_counter() - start
    return Outcome(
        promise.name, promise.says, state, why=why, numbers=case.numbers, seconds=seconds
    )
