"""Speaks text in the voice of a prompt: `Speaker`, and its result, `Spoken`.

    speaker = Speaker()  # or of files: Speaker("ar.safetensors", "nar.safetensors")
    spoken = speaker.say("good morning", "voice.wav")
    write("out.wav", spoken)  # its metadata say that it is synthetic

Use it only with the consent of the person whose voice it is, and say that the speech is synthetic.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audiotok.codec import registry
from audiotok.codec.devices import AUTO, find_device
from audiotok.errors import AudiotokError, CodecError, SpeechError
from audiotok.sound import audio as sounds
from audiotok.sound.audio import Audio, as_audio
from audiotok.system.files import make_folder, user_folder
from audiotok.tokens.tokens import Tokens
from audiotok.tts import alignment, phones, text, trained
from audiotok.tts.base import Generated, Generation, Prompt, Request, crop
from audiotok.tts.corpus import Utterance
from audiotok.tts.durations import Durations

MIN_PROMPT, MAX_PROMPT = 1.0, 3.0  # seconds: shorter ones are refused, longer ones cut
GENERATION = Generation(temperature=0.0)  # sampling makes more errors, see docs/tts.md
MIN_PEAK = 1e-3  # a prompt with a lower peak is silent
FORMATS = (".wav", ".flac", ".ogg")  # with metadata that mark the speech as synthetic
CONSENT = (
    "this makes synthetic speech in the voice of the prompt: use it only with the consent of the "
    "person whose voice it is, never to deceive, and say that it is synthetic (docs/tts.md); this "
    "note is shown once"
)
log = logging.getLogger("audiotok")


@dataclass(frozen=True)
class Spoken:
    """Speech, and how it was generated.

    Attributes:
        audio: at the rate of the codec.
        codes: (K, T) int64.
        phones: names, silence among them.
        seconds_of_phones: how long each lasts; None where the model has no alignment.
        steps: sequential steps of the network.
        seconds: that each stage took, for the whole batch.
        metadata: of the file.
    """

    audio: Audio
    codes: Tensor
    phones: tuple[str, ...]
    seconds_of_phones: tuple[float, ...] | None
    steps: int
    seconds: dict[str, float]
    metadata: dict[str, Any]


class Speaker:
    """A speech model with its codec.

    Args:
        models: a name that ships, a file, or the files of the model's parts (`trained.load`);
            without any, `trained.DEFAULT`.
        tokenizer: name of the codec, if the one in the file cannot be loaded here.
        checkpoint: weights of the codec, instead of its own.
        device: of model and codec.

    Raises:
        CheckpointError: no such model.
        CodecError: the codec is not the one that the model was trained with.
    """

    def __init__(
        self,
        *models: str | Path,
        tokenizer: str | None = None,
        checkpoint: str | Path | None = None,
        device: str = AUTO,
    ):
        models = models or (trained.DEFAULT,)
        self.model = trained.load(*models, device=str(find_device(device)))
        self.name = "+".join(Path(model).stem for model in models)
        codes = self.model.codes
        self.codec = registry.load(tokenizer or codes.codec, checkpoint, device, quiet=True)
        if self.codec.fingerprint != codes.fingerprint:
            raise CodecError(
                f"{self.name} generates codes of {codes.codec} (fingerprint "
                f"{codes.fingerprint[:12]}), not of these weights (fingerprint "
                f"{self.codec.fingerprint[:12]}): give the right ones with --checkpoint"
            )
        _note_consent()

    @property
    def unit(self) -> float:
        """Seconds in one unit of duration."""
        return self.model.merge / self.model.codes.frame_rate

    def say(
        self,
        words: str,
        prompt: Any,
        *,
        prompt_text: str | None = None,
        durations: Durations | None = None,
        seed: int = 0,
        options: Generation | None = None,
    ) -> Spoken:
        """Speech of an English text.

        Args:
            words: the text, at most about 35 seconds of speech.
            prompt: a sound of the voice, as `as_audio` takes it; only its first MAX_PROMPT seconds
                are used.
            prompt_text: the text of the whole prompt, if known.
            durations: of the phones of the text (`durations.read`); None: the model chooses.
            seed: the same gives the same speech.

        Raises:
            SpeechError: text, prompt or durations cannot be used.
        """
        request = self.request(
            words, self.prompt(prompt, prompt_text), durations=durations, seed=seed
        )
        return self.speak([request], options)[0]

    def prompt(self, source: Any, words: str | None = None) -> Prompt:
        """A prompt from a sound and, if known, its text."""
        sound = as_audio(source)
        peak = float(sound.waveform.abs().max()) if sound.num_samples else 0.0
        if sound.duration < MIN_PROMPT:
            raise SpeechError(
                f"the prompt lasts {sound.duration:.2f} s: expected {MIN_PROMPT:g} s or more of "
                f"one voice, best {MAX_PROMPT:g} s"
            )
        if peak < MIN_PEAK:
            raise SpeechError(
                f"the prompt is silent (peak {peak:.2g} of full scale): expected a sound with a "
                "voice"
            )
        merge, rate = self.model.merge, self.model.codes.frame_rate
        aligned = None
        if words is not None:
            try:
                aligned = alignment.align(sound, words)
            except AudiotokError as error:
                raise SpeechError(
                    f"the text of the prompt does not fit its sound: {error}"
                ) from None
        length = round(MAX_PROMPT * sound.sample_rate)
        sound = Audio(sound.waveform[:, :length], sound.sample_rate)
        codes = self.codec.encode(sound.to_channels(1)).codes[0].long()
        units = codes.shape[1] // merge
        if aligned is None:
            return Prompt(codes[:, : units * merge])
        starts = tuple(start for start in aligned.starts if start < units * merge / rate)
        utterance = Utterance("prompt", "", codes, aligned.ids[: len(starts)], starts, rate)
        return crop(utterance, 0, units, merge)

    def request(
        self,
        words: str,
        prompt: Prompt,
        *,
        durations: Durations | None = None,
        seed: int = 0,
    ) -> Request:
        """The input of the model; words whose phones are guessed are logged."""
        if not words.strip():
            raise SpeechError("the text is empty: give the words to speak")
        pronounced = text.pronounce(words)
        for word, guess in pronounced.guessed.items():
            log.warning("%s is not in the dictionary: spoken as %s", word, " ".join(guess))
        if durations is None:
            return Request(torch.tensor(phones.ids(pronounced.phones)), prompt, None, seed)
        durations.check(pronounced.phones)
        lengths = durations.units(self.unit)
        return Request(torch.tensor(phones.ids(durations.phones)), prompt, lengths, seed)

    def speak(self, requests: Sequence[Request], options: Generation | None = None) -> list[Spoken]:
        """Speech of several requests in one batch; none depends on the others."""
        options = options or GENERATION
        results = self.model.generate(requests, options)
        return [self._spoken(*pair, options) for pair in zip(requests, results, strict=True)]

    def stream(self, request: Request, options: Generation | None = None) -> Iterator[Audio]:
        """The speech of one request in pieces, as they are generated."""
        with self.codec.stream() as decoder:
            for codes in self.model.stream(request, options or GENERATION):
                if (waveform := decoder.decode(codes[None])).numel():
                    yield self._audio(waveform)
            if (waveform := decoder.decode(None, last=True)).numel():
                yield self._audio(waveform)

    def _spoken(self, request: Request, generated: Generated, options: Generation) -> Spoken:
        start = time.perf_counter()
        audio = self.decode(generated.codes)
        seconds = generated.seconds | {"codec": time.perf_counter() - start}
        lengths = generated.durations
        metadata = {
            "synthetic": True,
            "made_by": "audiotok say",
            "model": self.name,
            "codec": self.model.codes.codec,
            "seed": request.seed,
            "steps": generated.steps,
            "seconds": {name: round(x, 4) for name, x in seconds.items()},
            "options": options.model_dump(),
        }
        return Spoken(
            audio,
            generated.codes,
            tuple(phones.NAMES[number] for number in request.phones.tolist()),
            None if lengths is None else tuple(self.unit * n for n in lengths.tolist()),
            generated.steps,
            seconds,
            metadata,
        )

    def decode(self, codes: Tensor) -> Audio:
        """The sound of codes (K, T)."""
        card = self.codec.card
        samples = codes.shape[1] * card.hop_length * card.sample_rate_out // card.sample_rate_in
        tokens = Tokens(
            codes[None], card.name, self.codec.fingerprint, samples, card.sample_rate_out,
            card.codebook_sizes, card.strides,
        )  # fmt: skip
        return self.codec.decode(tokens)

    def _audio(self, waveform: Tensor) -> Audio:
        return Audio(waveform.float().cpu(), self.codec.card.sample_rate_out)


def write(path: str | Path, spoken: Spoken) -> None:
    """Writes the sound; its metadata (JSON) say that it is synthetic, and by which model.

    Raises:
        SpeechError: the format has no such metadata.
    """
    check_format(path)
    sounds.write(path, spoken.audio, comment=json.dumps(spoken.metadata))


def check_format(path: str | Path) -> None:
    """Raises SpeechError if the format of `path` cannot mark speech as synthetic."""
    if Path(path).suffix.lower() not in FORMATS:
        raise SpeechError(
            f"{path}: this format cannot mark speech as synthetic: name a file that ends in "
            f"{', '.join(FORMATS)}"
        )


def _note_consent() -> None:
    """Logs CONSENT once per user; a file in the user's folder records it."""
    mark = user_folder() / "synthetic-speech-note-shown"
    if mark.exists():
        return
    log.warning("%s", CONSENT)
    with suppress(AudiotokError, OSError):
        make_folder(mark.parent)
        mark.touch()
