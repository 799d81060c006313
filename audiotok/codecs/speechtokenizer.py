"""SpeechTokenizer: 8 residual codebooks at 50 frames per second; the first one is semantic.

Zhang et al. 2023, arXiv 2308.16692 (ICLR 2024). The network is EnCodec's, not causal, with a
bidirectional LSTM in the encoder. Loads the authors' state dicts, without the projection to the
features of their teacher, which only training uses.
"""

from __future__ import annotations

from audiotok.codec.codec import CodecCard, Taxonomy, Weights
from audiotok.codecs._pins import pinned
from audiotok.codecs.encodec import SEANetCodec

_SNAKE = "snake"


def _card(
    name: str, *, description: str, data: tuple[str, ...], licence: str | None, weights: Weights
) -> CodecCard:
    return CodecCard(
        name=f"speechtokenizer-{name}",
        family="speechtokenizer",
        description=description,
        sample_rate_in=16000,
        sample_rate_out=16000,
        hop_length=320,
        codebook_sizes=(1024,) * 8,
        codebook_counts=tuple(range(1, 9)),
        mergeable=True,
        causal=False,
        streamable=False,
        lookahead=None,
        taxonomy=Taxonomy(
            encoder_decoder="CNN+RNN, Time -> CNN+RNN, Time",
            quantization="RVQ, Fixed",
            training_paradigm="GAN, Rec, Feat, VQ, semantic distillation",
            streamability="no",
            domain="speech",
        ),
        licence_code="Apache-2.0",
        licence_weights=licence,
        training_data=data,
        weights=weights,
        verified="on random weights only",
    )


class SpeechTokenizer(SEANetCodec):
    """SpeechTokenizer behind the common interface; rates and channels are on its card."""

    DEFAULT = "speechtokenizer-hubert-avg"
    window_seconds = 30.0  # for encoding; decoding runs in pieces, as the decoder's LSTM is causal
    CARDS = (
        _card(
            "hubert-avg",
            description="official weights",
            data=("LibriSpeech",),
            licence="Apache-2.0",
            weights=Weights(
                **pinned("fnlp/SpeechTokenizer"),
                file="speechtokenizer_hubert_avg/SpeechTokenizer.pt",
            ),
        ),
        _card(
            _SNAKE,
            description="official weights with Snake activations, of AnyGPT",
            data=("LibriSpeech", "Common Voice"),
            licence=None,
            weights=Weights(
                repository="fnlp/AnyGPT-speech-modules",
                file="speechtokenizer/ckpt.dev",
                revision="main",
            ),
        ),
    )

    def _kind(self) -> dict[str, bool]:
        return {
            "bidirectional": True,
            "snake": self.card.name.startswith(f"speechtokenizer-{_SNAKE}"),
        }
