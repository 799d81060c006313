"""Any CTC recogniser of transformers (wav2vec 2.0, HuBERT, WavLM, ...), greedy, no language model.

The weights must already be on this machine. Sounds longer than 30 s are recognised in pieces of
30 s.
"""

from __future__ import annotations

import torch

from audiotok.judges.asr import SAMPLE_RATE, pieces
from audiotok.judges.pretrained import Pretrained
from audiotok.sound.audio import Audio


class Ctc(Pretrained):
    """Args: model: a name on the Hub whose files are cached, or a folder."""

    DEFAULT = "facebook/wav2vec2-base-960h"
    PURPOSE = "CTC model"
    languages = None

    @property
    def script(self) -> str | None:
        """LATIN for DEFAULT, which is English; the language of other models is unknown."""
        return "LATIN" if self.model == self.DEFAULT else None

    def _load(self, options):
        from transformers import AutoFeatureExtractor, AutoModelForCTC, AutoTokenizer

        # Not AutoProcessor, which needs the language model that some of these models include.
        features = AutoFeatureExtractor.from_pretrained(self.model, **options)
        tokenizer = AutoTokenizer.from_pretrained(self.model, **options)
        network = AutoModelForCTC.from_pretrained(self.model, **options)
        return features, tokenizer, network.eval()

    @torch.inference_mode()
    def transcribe(self, audio: Audio, language: str | None = None) -> str:
        """Greedy CTC decoding."""
        features, tokenizer, network = self.network
        texts = []
        for piece in pieces(audio):
            inputs = features(piece.numpy(), sampling_rate=SAMPLE_RATE, return_tensors="pt")
            texts.append(tokenizer.decode(network(**inputs).logits[0].argmax(-1)))
        return " ".join(" ".join(texts).split())
