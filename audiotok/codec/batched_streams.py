"""Several streams of one codec that run as one batch: `codec.stream(batch=n)`.

    with codec.stream(batch=3) as streams:
        codes = streams.encode(chunks, mask=[True, True, False])  # item 2 pauses
        sounds = streams.decode(codes)
        streams.reset([1])  # item 1 begins a new sound

Each item has the codes and the sound that a single `Stream` gives it (up to near ties, and to 1e-5
of the peak). Items that are at the same point are computed together, the others apart: an item that
was reset joins the others when its first frames are through. A codec whose state cannot be split by
rows (Lyra, codecs of others) runs its items one after another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from audiotok.codec.groups import Groups
from audiotok.codec.inference import inference
from audiotok.codec.streaming import Stream
from audiotok.codec.windows import Pieces, Windowed
from audiotok.errors import AudiotokError, CodecError
from audiotok.nn.states import Stateful
from audiotok.system.defaults import pytorch_defaults

Flags = bool | Sequence[bool]


class BatchedStreams:
    """A stateful encoder and decoder of n sounds, the items 0 to n - 1.

    If a chunk of any item is refused, no item has changed.

    Args:
        start_encoder, start_decoder: new pieces, in their initial state.
    """

    def __init__(
        self,
        codec: Windowed,
        batch: int,
        start_encoder: Callable[[], Pieces],
        start_decoder: Callable[[], Pieces],
    ) -> None:
        if type(batch) is not int or batch < 1:
            raise CodecError(f"stream(batch={batch!r}): expected a number of sounds, 1 or more")
        self.codec, self.batch = codec, batch
        self._groups = {
            "encoder": Groups(start_encoder, batch),
            "decoder": Groups(start_decoder, batch),
        }
        self._streams = [self._stream() for _ in range(batch)]

    def __len__(self) -> int:
        return self.batch

    def __enter__(self) -> BatchedStreams:
        return self

    def __exit__(self, kind: type | None, *rest: object) -> None:
        for stream in self._streams:
            stream.__exit__(kind, *rest)

    @pytorch_defaults()
    def encode(self, chunks: Any, mask: Flags = True, last: Flags = False) -> list[torch.Tensor]:
        """Codes (C, K, T) int64 of each item, the frames that are complete now; T may be 0.

        Args:
            chunks: (n, C, L), or n waveforms of their own lengths as `Stream.encode` takes them.
            mask: which items have a chunk, all or n booleans; the others pause, whatever is in
                `chunks`.
            last: whether this is the last chunk, of all items or of each. An item goes on after its
                last chunk when it is reset.

        Raises:
            CodecError, AudioError: as `Stream.encode`; the message names the item. If its latents
                are not finite, the other items have advanced, and their codes are lost.
        """
        wanted, ends = self._flags(mask, "mask"), self._flags(last, "last")
        inputs = {}
        for item, chunk in self._given(chunks, wanted):
            with _naming(item):
                inputs[item] = self._streams[item].waveform(chunk, ends[item])
        outputs = self._run("encoder", inputs, ends)
        shape = (1, self.codec.card.num_codebooks, 0)
        nothing = torch.empty(shape, dtype=torch.int64)
        return self._checked(Stream.checked_codes, outputs, nothing)

    @pytorch_defaults()
    def decode(self, codes: Any, mask: Flags = True, last: Flags = False) -> list[torch.Tensor]:
        """Waveform (C, L) float32 of each item, the samples that are complete now; L may be 0.

        Args:
            codes: (n, C, K, T), or a list of n codes (C, K, T) with their own T.
            mask, last: as in `encode`.

        Raises:
            CodecError: as `Stream.decode`; the message names the item.
        """
        wanted, ends = self._flags(mask, "mask"), self._flags(last, "last")
        inputs = {}
        for item, each in self._given(codes, wanted):
            with _naming(item):
                inputs[item] = self._streams[item].codes(each)
        outputs = self._run("decoder", inputs, ends)
        silence = torch.empty(1, self.codec.card.channels, 0)
        return self._checked(Stream.checked_waveform, outputs, silence)

    def reset(self, items: Iterable[int] | None = None) -> None:
        """Let these items (indices, or n booleans), or all, begin a new sound in both directions.

        Raises:
            CodecError: no such item.
        """
        items = self._items(items)
        for item in items:
            self._streams[item] = self._stream()
        for groups in self._groups.values():
            groups.reset(items)

    def _stream(self) -> Stream:
        """The checks and the counts of an item; its states are in the groups."""
        unused = Stateful()
        return Stream(self.codec, unused, unused)

    def _items(self, items: Iterable[int] | None) -> list[int]:
        if items is None:
            return list(range(self.batch))
        items = items.tolist() if hasattr(items, "tolist") else list(items)
        if items and all(isinstance(item, bool) for item in items):
            return [item for item, wanted in enumerate(self._flags(items, "items")) if wanted]
        for item in items:
            if not isinstance(item, int) or not 0 <= item < self.batch:
                raise CodecError(
                    f"reset of item {item!r}: these are {self.batch} streams, 0 to {self.batch - 1}"
                )
        return sorted(set(items))

    def _flags(self, flags: Any, name: str) -> list[bool]:
        flags = flags.tolist() if hasattr(flags, "tolist") else flags
        if isinstance(flags, bool):
            return [flags] * self.batch
        flags = list(flags) if isinstance(flags, Iterable) else [flags]
        if len(flags) != self.batch or not all(isinstance(flag, bool) for flag in flags):
            raise CodecError(
                f"{name} is {flags}: expected {self.batch} booleans, one for each stream"
            )
        return flags

    def _given(self, values: Any, wanted: list[bool]) -> Iterator[tuple[int, Any]]:
        """The items that do not pause, with their chunks or codes."""
        values = [None] * self.batch if values is None else values
        listed = isinstance(values, list | tuple) or getattr(values, "ndim", 0)
        if not listed or len(values) != self.batch:
            actual = f"{len(values)} items are" if listed else f"{type(values).__name__} is"
            raise CodecError(f"{actual} given: expected {self.batch} items, one for each stream")
        return ((item, values[item]) for item in range(self.batch) if wanted[item])

    def _run(
        self, half: str, inputs: dict[int, torch.Tensor], ends: list[bool]
    ) -> dict[int, torch.Tensor]:
        halves = {item: getattr(self._streams[item], half) for item in inputs}
        for item, value in inputs.items():
            with _naming(item):
                halves[item].check(value)
        with inference(self.codec.network, self.codec.device, self.codec.fast):
            outputs = self._groups[half].run(inputs, ends, self.codec.device)
        for item, value in inputs.items():
            halves[item].count(value, outputs[item], ends[item])
        return outputs

    def _checked(
        self, check: Callable, outputs: dict[int, torch.Tensor], nothing: torch.Tensor
    ) -> list[torch.Tensor]:
        """The output of each item; `nothing` of those that pause."""
        results = []
        for item, stream in enumerate(self._streams):
            with _naming(item):
                results.append(check(stream, outputs.get(item, nothing)))
        return results


@contextmanager
def _naming(item: int) -> Iterator[None]:
    """Put the item before the message of an expected error."""
    try:
        yield
    except AudiotokError as reason:
        raise type(reason)(f"item {item}: {reason}") from None
