"""UTMOS, the strong learner of Saeki et al. 2022 (arXiv 2204.02152): naturalness of speech.

wav2vec 2.0 base (torchaudio's), an embedding of the listening test and of a listener, a
bidirectional LSTM and two linear layers; the mean over frames, times 2 plus 3. The weights are
those of github.com/tarepan/SpeechMOS (MIT), which other benchmarks use too; they must already be in
the folder of torch.hub. As there, the embeddings are those of one test and one listener, and
phonemes are not used.
"""

from __future__ import annotations

import re
from functools import cached_property

import torch
from torch import Tensor, nn

from audiotok.errors import MetricError
from audiotok.judges.mos import prepared
from audiotok.judges.pretrained import folder_sha256, hub_file, hub_missing, unloadable
from audiotok.metrics import Column
from audiotok.sound.audio import Audio
from audiotok.system.dependencies import torchaudio

FILE = "utmos22_strong_step7459_v1.pt"
URL = f"https://github.com/tarepan/SpeechMOS/releases/download/v1.0.0/{FILE}"


class Network(nn.Module):
    """Waveform (B, L) at 16 kHz -> scores (B,)."""

    def __init__(self):
        super().__init__()
        self.wav2vec2 = torchaudio().models.wav2vec2_base()
        self.domain_emb = nn.Parameter(torch.zeros(1, 128))
        self.judge_emb = nn.Parameter(torch.zeros(1, 128))
        self.blstm = nn.LSTM(768 + 128 + 128, 512, batch_first=True, bidirectional=True)
        self.projection = nn.Sequential(nn.Linear(1024, 2048), nn.ReLU(), nn.Linear(2048, 1))

    def forward(self, waveform: Tensor) -> Tensor:
        frames, _ = self.wav2vec2(waveform)
        condition = torch.cat([self.domain_emb, self.judge_emb], 1)
        condition = condition[:, None].expand(*frames.shape[:2], -1)
        hidden, _ = self.blstm(torch.cat([frames, condition], 2))
        return self.projection(hidden).mean((1, 2)) * 2 + 3


# Names of the parts of wav2vec 2.0 in fairseq -> in torchaudio.
_NAMES = {
    r"feature_extractor\.conv_layers\.(\d+)\.0\.": r"feature_extractor.conv_layers.\1.conv.",
    r"feature_extractor\.conv_layers\.(\d+)\.2\.": r"feature_extractor.conv_layers.\1.layer_norm.",
    r"layer_norm\.": "encoder.feature_projection.layer_norm.",
    r"post_extract_proj\.": "encoder.feature_projection.projection.",
    r"encoder\.pos_conv\.0\.": "encoder.transformer.pos_conv_embed.conv.",
    r"encoder\.layer_norm\.": "encoder.transformer.layer_norm.",
    r"encoder\.layers\.(\d+)\.self_attn\.": r"encoder.transformer.layers.\1.attention.",
    r"encoder\.layers\.(\d+)\.self_attn_layer_norm\.": r"encoder.transformer.layers.\1.layer_norm.",
    r"encoder\.layers\.(\d+)\.fc1\.": (
        r"encoder.transformer.layers.\1.feed_forward.intermediate_dense."
    ),
    r"encoder\.layers\.(\d+)\.fc2\.": r"encoder.transformer.layers.\1.feed_forward.output_dense.",
    r"encoder\.layers\.(\d+)\.": r"encoder.transformer.layers.\1.",
}


def from_fairseq(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The checkpoint's weights under the names of `Network`."""
    renamed = {}
    for name, tensor in state.items():
        part = name.removeprefix("wav2vec2.")
        if part == name:
            renamed[name] = tensor
        elif part != "mask_emb":  # only training masks
            pattern = next((p for p in _NAMES if re.match(p, part)), None)
            new = part if pattern is None else re.sub(f"^{pattern}", _NAMES[pattern], part)
            renamed[f"wav2vec2.{new}"] = tensor
    return renamed


class Utmos:
    """One score."""

    name = "utmos"
    columns = (Column("utmos", "MOS", True, 2, "UTMOS22 strong, at 16 kHz"),)

    @property
    def identity(self) -> dict[str, str]:
        path = hub_file(FILE)
        return {"utmos": folder_sha256((str(path),))} if path.is_file() else {}

    def missing(self) -> MetricError | None:
        return hub_missing(FILE, URL, "UTMOS")

    @cached_property
    def network(self) -> Network:
        if (error := self.missing()) is not None:
            raise error
        network = Network()
        try:
            state = torch.load(hub_file(FILE), map_location="cpu", weights_only=True)
            network.load_state_dict(from_fairseq(state))
        except Exception as reason:  # torch.load raises anything at damaged files
            raise unloadable("UTMOS", hub_file(FILE), reason) from reason
        return network.eval()

    @torch.inference_mode()
    def __call__(self, audio: Audio) -> dict[str, float]:
        waveform = torch.from_numpy(prepared(self.name, audio))
        return {"utmos": float(self.network(waveform[None]))}


PREDICTOR = Utmos()
