"""Whisper (Radford et al. 2022, arXiv 2212.04356) by CTranslate2 in int8, with 5 beams.

Five beams and no other search option, as in the survey of discrete audio tokens (arXiv 2506.10274,
section 3.1). Any size whose weights are on this machine; they are converted once, into the user's
cache. Sounds longer than 30 s are recognised in pieces of 30 s. Compared with transformers
in speed and word error rate by `benchmarks/speed/whisper.py`.

An English text has at most 16 tokens and 16 more per second of the sound: for noise Whisper would
write up to 224. The 615 transcripts in our results (LibriSpeech readers through 12 codecs,
published samples) have at most 40 % of that.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from audiotok.errors import AudiotokError, MissingPackageError
from audiotok.judges.asr import SAMPLE_RATE, pieces
from audiotok.judges.pretrained import Pretrained, cached
from audiotok.sound.audio import Audio
from audiotok.system.files import cache_root, make_folder, temporary_path, user_folder
from audiotok.system.names import digest

BEAMS = 5
HUB_PREFIX = "openai/whisper-"
PRECISION = "int8"
MAX_LENGTH = 448  # CTranslate2's default; it writes at most half as many tokens
ENGLISH_LENGTH = 32  # `max_length` for English: this number, and this number per second
log = logging.getLogger("audiotok")


@contextmanager
def without_bars() -> Iterator[None]:
    """transformers shows no progress bars in the block."""
    from transformers.utils import logging as settings

    enabled = settings.is_progress_bar_enabled()
    settings.disable_progress_bar()
    try:
        yield
    finally:
        if enabled:
            settings.enable_progress_bar()


class Whisper(Pretrained):
    """Whisper of one size.

    Args:
        model: a size ("large-v3"), a name on the Hub whose files are in its cache, or a folder. A
            size is looked for in the folder `whisper-SIZE` of the user's weights first.
    """

    DEFAULT = f"{HUB_PREFIX}small"
    PURPOSE = "Whisper"
    script = "LATIN"  # it writes English where the language of a clip is unknown

    def __init__(self, model: str | Path | None = None):
        is_size = model and "/" not in str(model) and not Path(model).is_dir()
        folder = user_folder() / f"whisper-{model}"
        if is_size:
            model = folder if folder.is_dir() else f"{HUB_PREFIX}{model}"
        super().__init__(model)

    @property
    def label(self) -> str:
        """The size; of a folder its name without "whisper-". `identity` tells weights apart."""
        if Path(self.model).is_dir():
            return Path(self.model).resolve().name.removeprefix("whisper-")
        return super().label.removeprefix(HUB_PREFIX)

    @property
    def name(self) -> str:
        return f"{self.PURPOSE} {self.label or 'small'}, {BEAMS} beams, {PRECISION}"

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """English, and all other languages of a multilingual model."""
        folder = Path(self.model)
        if not folder.is_dir():
            path = cached(self.model, ("generation_config.json",))
            folder = path.parent if path else folder
        try:
            config = json.loads((folder / "generation_config.json").read_bytes())
            codes = sorted(code.strip("<|>") for code in config.get("lang_to_id", {}))
        except (OSError, ValueError, AttributeError):
            codes = []
        return ("en", *(code for code in codes if code != "en"))

    def missing(self) -> AudiotokError | None:
        if importlib.util.find_spec("ctranslate2") is None:
            return MissingPackageError("ctranslate2", self.EXTRA, self.PURPOSE)
        return super().missing()

    def _load(self, options: dict[str, Any]) -> tuple[Any, Any]:
        import ctranslate2
        from transformers import WhisperProcessor

        processor = WhisperProcessor.from_pretrained(self.model, **options)
        return processor, ctranslate2.models.Whisper(
            str(self._converted()), compute_type=PRECISION, intra_threads=torch.get_num_threads()
        )

    def _converted(self) -> Path:
        """The folder of the weights in CTranslate2's format, converted if it does not exist yet."""
        from ctranslate2.converters import TransformersConverter

        key = digest(json.dumps([self.model, self.identity, PRECISION]), 16)
        folder = cache_root() / "audiotok" / "ctranslate2" / key
        if (folder / "model.bin").is_file():
            return folder
        source = self.model if Path(self.model).is_dir() else cached(self.model).parent
        log.info("converting %s for CTranslate2, once", self.model)
        make_folder(folder.parent)
        temporary = temporary_path(folder.parent)
        try:
            with without_bars():
                TransformersConverter(str(source)).convert(str(temporary), quantization=PRECISION)
            os.replace(temporary, folder)
        except OSError:
            if not (folder / "model.bin").is_file():  # another process was faster
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return folder

    def transcribe(self, audio: Audio, language: str | None = None) -> str:
        """The text as Whisper writes it, without special tokens; `language` None: English."""
        import ctranslate2

        processor, network = self.network
        prompt = ["<|startoftranscript|>", "<|notimestamps|>"]
        code = (language or "en").partition("-")[0] if network.is_multilingual else "en"
        if network.is_multilingual:
            prompt[1:1] = [f"<|{code}|>", "<|transcribe|>"]
        texts = []
        for piece in pieces(audio):
            features = processor(
                piece.numpy(), sampling_rate=SAMPLE_RATE, return_tensors="np"
            ).input_features
            features = ctranslate2.StorageView.from_array(features)
            seconds, longest = len(piece) / SAMPLE_RATE, MAX_LENGTH
            if code == "en":  # in other scripts a letter may be several tokens
                longest = min(MAX_LENGTH, math.ceil(ENGLISH_LENGTH * (1 + seconds)))
            (result,) = network.generate(features, [prompt], beam_size=BEAMS, max_length=longest)
            texts.append(processor.decode(result.sequences_ids[0], skip_special_tokens=True))
        return " ".join(text.strip() for text in texts)
