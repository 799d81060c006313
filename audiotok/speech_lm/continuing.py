"""`audiotok generate`: continuations of a sound by a trained language model.

    continued = continue_sound("runs/speech-lm/model.safetensors", "clip.wav", count=8)
    continued.sounds[0]        # an Audio: the prompt through the codec, then the continuation

`audiotok.report.continuations` writes them with a listening page.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch

from audiotok.codec.codec import Codec
from audiotok.errors import AudiotokError, CodecError
from audiotok.lm import Sampling
from audiotok.sound.audio import Audio, read
from audiotok.speech_lm import trained

SAMPLING = Sampling(top_k=250)  # as in the task acoustic_lm


@dataclass(frozen=True)
class Continued:
    """Continuations of one sound.

    Attributes:
        prompt: the path of the sound.
        reference: the sound as it was recorded, up to the end of the continuations.
        sounds: each begins with the prompt through the codec.
        codes: of each sound, (1, K, T).
        prompt_seconds: length of the prompt at the beginning of each sound.
        metadata: for the files.
        codec: that decoded them.
    """

    prompt: Path
    reference: Audio
    sounds: tuple[Audio, ...]
    codes: tuple[torch.Tensor, ...]
    prompt_seconds: float
    metadata: dict[str, object]
    codec: Codec


def continue_sound(
    path: str | Path,
    prompt: str | Path,
    *,
    count: int = 8,
    prompt_seconds: float = 3.0,
    seconds: float = 5.0,
    sampling: Sampling = SAMPLING,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    device: str = "auto",
    tokenizer: str | None = None,
) -> Continued:
    """`count` continuations of the beginning of a sound file.

    Args:
        path: model.safetensors of `audiotok train-lm`.
        prompt: a sound file; its first `prompt_seconds` are continued.
        seconds: length of a continuation without the prompt.
        seed: of the sampling; the same seed gives the same sounds on the same device.
        checkpoint, device, tokenizer: of the codec, as for `trained.judge`.

    Raises:
        RecipeError: no such model.
        CodecError: the model was trained on tokens of another codec, or the codec's tokens cannot
            be continued (durations or side information).
        AudiotokError: the prompt cannot be read, or is shorter than a step of the model.
    """
    if count < 1 or min(prompt_seconds, seconds) <= 0:
        raise AudiotokError(
            f"{count} continuations of {seconds} s after {prompt_seconds} s: expected at least one "
            "and lengths above 0"
        )
    codec = trained.codec_of(path, checkpoint=checkpoint, device=device, tokenizer=tokenizer)
    card = codec.card
    if card.needs or card.byte_stream or card.max_duration > 1:
        raise CodecError(
            f"{card.name} cannot decode continuations: expected a codec with a decoder and codes "
            "at a fixed rate"
        )
    model = trained.load(path, str(codec.device))
    sound = read(prompt).to_channels(1)
    tokens = codec.encode(sound)
    if tokens.side is not None:
        raise CodecError(f"{card.name} has side information, which a model cannot continue")
    unit = math.lcm(*model.strides)
    frames, new_frames = (
        int(length * codec.frame_rate) // unit * unit for length in (prompt_seconds, seconds)
    )
    frames = min(frames, tokens.num_frames // unit * unit)
    if not frames or not new_frames:
        raise AudiotokError(
            f"{prompt} lasts {sound.duration:.3f} s and the continuation {seconds} s: expected at "
            f"least one step of the model ({unit / codec.frame_rate:.3f} s) in each"
        )
    prompt_codes = tokens.codes[:, : model.num_codebooks, :frames].long().to(codec.device)
    generator = torch.Generator(codec.device).manual_seed(seed)
    with torch.inference_mode():
        generated = model.generate(
            prompt_codes.expand(count, -1, -1), new_frames, sampling, generator=generator
        )
    codes = tuple(clip[None].cpu() for clip in generated)
    sounds = tuple(codec.decode(codec.tokens(clip)) for clip in codes)
    end = round((frames + new_frames) / codec.frame_rate * sound.sample_rate)
    metadata = {
        "synthetic": True, "made_by": "audiotok generate", "model": Path(path).name,
        "codec": card.name, "seed": seed, "prompt_seconds": frames / codec.frame_rate,
    }  # fmt: skip
    return Continued(
        Path(prompt),
        Audio(sound.waveform[:, :end], sound.sample_rate),
        sounds,
        codes,
        frames / codec.frame_rate,
        metadata,
        codec,
    )
