"""Any CTC recogniser of transformers (wav2vec 2.0, HuBERT, WavLM, ...), greedy, no language model.

Only with weights that are already here. Sounds longer than 30 s are recognised in pieces of 30 s.
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

    def _load(self, options):
        from transformers import AutoFeatureExtractor, AutoModelForCTC, AutoTokenizer

        # Not AutoProcessor, which wants the language model that some of these bring along.
        features = AutoFeatureExtractor.from_pretrained(self.model, **options)
        tokenizer = AutoTokenizer.from_pretrained(self.model, **options)
        network = AutoModelForCTC.from_pretrained(self.model, **options)
        return features, tokenizer, network.eval()

    @torch.inference_mode()
    def transcribe(self, audio: Audio) -> str:
        """The likeliest symbol of each frame, repetitions and blanks taken out."""
        features, tokenizer, network = self.network
        texts = []
        for piece in pieces(audio):
            inputs = features(piece.numpy(), sampling_rate=SAMPLE_RATE, return_tensors="pt")
            texts.append(tokenizer.decode(network(**inputs).logits[0].argmax(-1)))
        return " ".join(" ".join(texts).split())
