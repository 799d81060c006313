"""The codec that is examined, with what several checks need: sounds, tokens, further instances."""

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

# Arithmetic may differ in its last bits between sizes of a batch and numbers of threads, and flip
# codes that were nearly tied. More codes than this share do not flip so.
MOST_CHANGED = 0.05
MOST_ERROR = 1e-4  # of the peak of a sound that differs in the last bits of its arithmetic


class Case:
    """One codec under examination.

    Attributes:
        codec, card: what is examined.
        hop: samples at sample_rate_in that lengths are tried around.
        numbers: what the check at work has measured.
    """

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        self.card: CodecCard = codec.card
        self.hop = codec.card.hop_length if codec.card.hop_length > 1 else 320
        self.numbers: dict[str, float] = {}
        self._tokens: dict[str, Tokens] = {}

    @cached_property
    def sounds(self) -> dict[str, Audio]:
        return sounds(self.card.sample_rate_in)

    def tokens(self, name: str) -> Tokens:
        """Of one of `sounds`, encoded once."""
        if name not in self._tokens:
            with trying(f"encoding {name}"):
                self._tokens[name] = self.codec.encode(self.sounds[name])
        return self._tokens[name]

    def separate(self, audio: Audio) -> int:
        """How many channels of this sound are coded one by one."""
        return audio.channels if self.codec.options.get("channels") == "each" else 1

    def num_bits(self, tokens: Tokens) -> float:
        """What the codes must carry by their number and the card, bits."""
        channels, count, frames = tokens.codes.shape
        pairs = zip(self.card.codebook_sizes[:count], self.card.strides, strict=False)
        bits = sum(-(-frames // stride) * math.log2(size) for size, stride in pairs)
        side = tokens.side
        return channels * bits + (0 if side is None else 8 * side.numel() * side.element_size())

    # --- further instances ---------------------------------------------------------------------

    @cached_property
    def _again(self) -> Codec | str:
        """The same codec built anew, or why that cannot be."""
        codec = self.codec
        try:
            other = self._built()
        except Exception as reason:  # the constructor may be anybody's
            return f"another instance cannot be built ({described(reason)})"
        if other.fingerprint != codec.fingerprint or not _same_weights(other, codec):
            return "another instance has other weights: these are not what a checkpoint gives"
        return other

    def _built(self) -> Codec:
        return type(self.codec)(self.card, self.codec.device, self.codec.checkpoint)

    def again(self) -> Codec | None:
        """The same codec built now; None where building it does not give this codec."""
        return self._built() if isinstance(self._again, Codec) else None

    def another(self) -> Codec:
        """A second instance with the same weights: built anew, or else a copy made now."""
        if isinstance(self._again, Codec):
            return self._again
        try:
            return copy.deepcopy(self.codec)
        except Exception as reason:
            raise NotChecked(f"{self._again}, and it cannot be copied: {described(reason)}") from (
                reason
            )

    def variant(self, **changes: object) -> Codec:
        """The codec with other options; None leaves one out.

        Raises:
            CodecError: the card has no such option.
        """
        if isinstance(self._again, str):
            raise NotChecked(self._again)
        codec = self.codec
        card = self.varied(**changes)
        with trying(f"building {card.name}"):
            return type(codec)(card, codec.device, codec.checkpoint)

    def varied(self, **changes: object) -> CodecCard:
        """The card of such a variant."""
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
            raise NotChecked(f"its card without options is not known ({reason})") from reason

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
            known = name is not None and registry.find_card(name) == card
        except AudiotokError:
            known = False
        if not known:
            raise NotChecked(
                f"no other process can load {card.name}, a class of {module}, by a name: name its "
                "file, `audiotok check FILE.py`"
            )
        return name


def _same_weights(one: Codec, other: Codec) -> bool:
    if one.network is None or other.network is None:
        return one.network is other.network
    mine, yours = one.network.state_dict(), other.network.state_dict()
    return mine.keys() == yours.keys() and all(
        not isinstance(mine[key], torch.Tensor) or torch.equal(mine[key], yours[key])
        for key in mine
    )


def judge(promise: Promise, case: Case) -> Outcome:
    """Tries a promise until the first counter-example."""
    case.numbers = {}
    start = time.perf_counter()
    try:
        why = next(iter(promise.check(case)), None)
        state = "kept" if why is None else "broken"
    except NotChecked as reason:
        state, why = "not checked", str(reason)
    except Broken as reason:
        state, why = "broken", str(reason)
    except Exception as reason:  # the codec may be anybody's, and raise anything
        state, why = "broken", f"raises {described(reason)}"
    seconds = time.perf_counter() - start
    return Outcome(
        promise.name, promise.says, state, why=why, numbers=case.numbers, seconds=seconds
    )
