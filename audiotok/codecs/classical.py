"""Classical codecs, the baselines: Opus, mu-law, and resampling alone.

- opus-6k ... opus-24k: Opus (RFC 6716) through libsndfile, at 16 kHz, variable bitrate.
- mulaw: ITU-T G.711's continuous curve, mu = 255, at 16 kHz: 8 bits per sample.
- resample-16k, resample-24k: 16-bit PCM at that rate; what the band limit alone costs.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import soundfile
import torch

from audiotok.codec.codec import Codec, CodecCard
from audiotok.codec.windows import Pieces
from audiotok.errors import CodecError
from audiotok.nn.states import Stateless
from audiotok.sound import ogg
from audiotok.system.interrupts import deferred


def _card(name: str, sample_rate: int, codebook_size: int, description: str, **more) -> CodecCard:
    return CodecCard(
        name=name,
        family=more.pop("family", name),
        kind="baseline",
        description=description,
        sample_rate_in=sample_rate,
        sample_rate_out=sample_rate,
        hop_length=1,
        codebook_sizes=(codebook_size,),
        causal=True,
        streamable=not more.get("byte_stream", False),
        lookahead=more.pop("lookahead", 0),
        licence_code="Apache-2.0",
        verified="by its tests",
        **more,
    )


class _Classical(Codec):
    NO_LATENTS = "its codes are made of samples"

    def _load(self, checkpoint: Path | None) -> None:
        if checkpoint is not None:
            raise CodecError(f"{self.card.name} has no weights: leave out checkpoint {checkpoint}")


class _SampleWise(_Classical):
    """One code per sample, without a state."""

    def _encoder_in_pieces(self) -> Pieces:
        return Stateless(self._encode)

    def _decoder_in_pieces(self) -> Pieces:
        return Stateless(self._decode)


class Resample(_SampleWise):
    """16-bit PCM: the codes are the samples, shifted to 0..65535."""

    CARDS = tuple(
        _card(
            f"resample-{rate // 1000}k", rate, 2**16, f"16-bit PCM at {rate} Hz", family="resample"
        )
        for rate in (16_000, 24_000)
    )
    DEFAULT = "resample-16k"

    def _encode(self, waveform: torch.Tensor) -> torch.Tensor:
        return (waveform * 2**15).round().clamp(-(2**15), 2**15 - 1).long() + 2**15

    def _decode(self, codes: torch.Tensor) -> torch.Tensor:
        return (codes - 2**15).float() / 2**15


class MuLaw(_SampleWise):
    """sign(x) ln(1 + mu |x|) / ln(1 + mu), in 256 steps; louder than 1 is clipped."""

    CARDS = (_card("mulaw", 16_000, 256, "mu-law companding at 16000 Hz, 8 bits per sample"),)
    MU = 255

    def _encode(self, waveform: torch.Tensor) -> torch.Tensor:
        x = waveform.clamp(-1, 1)
        companded = x.sign() * (self.MU * x.abs()).log1p() / np.log1p(self.MU)
        return ((companded + 1) / 2 * self.MU + 0.5).long()

    def _decode(self, codes: torch.Tensor) -> torch.Tensor:
        companded = codes.float() / self.MU * 2 - 1
        return companded.sign() * (companded.abs() * np.log1p(self.MU)).expm1() / self.MU

    def codewords(self, k: int) -> torch.Tensor:
        return (
            self.codebook(k)
            if k
            else self._decode(torch.arange(self.MU + 1, device="cpu"))[:, None]
        )


class Opus(_Classical):
    """Opus; the codes are only the bytes that decoding needs.

    libsndfile writes an Ogg file with 1 kB of comments and about 80 bytes per second of page
    headers. Only its packets are kept, in the framing of `_pack`; decoding rebuilds the container.
    The bitrate varies with the sound: on 25 clips of read English (LibriSpeech, 3 minutes), targets
    of 6, 8, 12, 16, 24 kbit/s gave 5.6, 7.3, 11.4, 15.1, 22.2 kbit/s.
    """

    CARDS = tuple(
        _card(
            f"opus-{rate // 1000}k",
            16_000,
            256,
            f"Opus by libsndfile, told to spend {rate} bit/s (variable bitrate)",
            family="opus",
            byte_stream=True,
            lookahead=104,  # 6.5 ms
        )
        for rate in (6_000, 8_000, 12_000, 16_000, 24_000)
    )
    DEFAULT = "opus-12k"

    def _load(self, checkpoint: Path | None) -> None:
        super()._load(checkpoint)
        rate = 1000 * int(self.card.name.removeprefix("opus-").removesuffix("k"))
        self._level = 1 - (rate - 6_000) / 250_000  # libsndfile: level 1 is 6, 0 is 256 kbit/s

    def _encode(self, waveform: torch.Tensor) -> torch.Tensor:
        file = io.BytesIO()
        with deferred():
            soundfile.write(
                file,
                waveform[0, 0].cpu().numpy(),
                self.card.sample_rate_in,
                format="OGG",
                subtype="OPUS",
                compression_level=self._level,
            )
        stream = _pack(list(ogg.packets(file.getvalue())))
        return torch.from_numpy(np.frombuffer(stream, np.uint8).astype(np.int64))[None, None]

    def _decode(self, codes: torch.Tensor) -> torch.Tensor:
        try:
            file = _unpack(codes[0, 0].cpu().numpy().astype(np.uint8).tobytes())
            with deferred():
                samples, _ = soundfile.read(io.BytesIO(file), dtype="float32")
        except (IndexError, ValueError, struct.error, soundfile.LibsndfileError) as reason:
            raise CodecError(f"these bytes are no stream of {self.card.name}: {reason}") from None
        return torch.from_numpy(samples)[None, None]


# The bytes of a stream: the encoder's pre-skip (2 bytes, little endian), then for each packet its
# length (1 byte, or 2 from 252 on, coded as in RFC 6716 section 3.2.1) and the packet without its
# first byte, the TOC. The TOC rarely changes; where it does, a 0 and the new TOC come first. The
# length takes the byte of the TOC, so a stream is only about 4 bytes longer than its packets.


def _pack(packets: list[bytes]) -> bytes:
    """The stream of an Ogg file's packets: OpusHead, OpusTags, then sound."""
    head, _, *packets = packets
    stream, toc = bytearray(head[10:12]), None
    for packet in packets:
        if packet[0] != toc:
            toc = packet[0]
            stream += bytes((0, toc))
        length = len(packet)
        stream += bytes((length,) if length < 252 else (252 + length % 4, (length - 252) // 4))
        stream += packet[1:]
    return bytes(stream)


def _unpack(stream: bytes) -> bytes:
    """The Ogg file of a stream."""
    pre_skip = struct.unpack("<H", stream[:2])[0]
    head = struct.pack("<8sBBHIHB", b"OpusHead", 1, 1, pre_skip, 16_000, 0, 0)
    tags = struct.pack("<8sII", b"OpusTags", 0, 0)
    packets, granule, toc, at = [], 0, b"", 2
    pages = [(0, [head]), (0, [tags])]
    while at < len(stream):
        if stream[at] == 0:
            toc = stream[at + 1 : at + 2]
            at += 2
        length = stream[at]
        at += 1
        if length >= 252:
            length += 4 * stream[at]
            at += 1
        packet = toc + stream[at : at + length - 1]
        if len(packet) != length:
            raise IndexError("a packet is cut short")
        at += length - 1
        packets.append(packet)
        granule += _samples_at_48k(packet)
        if len(packets) == 40 or at >= len(stream):
            pages.append((granule, packets))
            packets = []
    return ogg.build(pages)


def _samples_at_48k(packet: bytes) -> int:
    """Samples that a packet decodes to, by its TOC (RFC 6716, section 3.1)."""
    mode, number = packet[0] >> 3, packet[0] & 3
    if mode < 12:
        samples = (480, 960, 1920, 2880)[mode & 3]
    elif mode < 16:
        samples = (480, 960)[mode & 1]
    else:
        samples = (120, 240, 480, 960)[mode & 3]
    samples *= packet[1] & 63 if number == 3 else (1, 2, 2)[number]
    if samples > 5760:
        raise ValueError(f"a packet is longer than 120 ms: {samples / 48:g} ms")
    return samples
