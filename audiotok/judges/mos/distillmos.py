"""DistillMOS (Stahl and Gamper 2025, arXiv 2502.05356): a small network distilled from XLS-R.

By Microsoft's package distillmos, which brings the weights (variant 7). Sounds are processed in
windows of 7.68 s, each at full scale; shorter ones are padded with silence.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
from functools import cache

import torch

from audiotok.errors import MissingPackageError
from audiotok.judges.mos import prepared
from audiotok.metrics import Column
from audiotok.sound.audio import Audio


class DistillMos:
    """One score."""

    name = "distillmos"
    identity = {"distillmos": "variant 7"}
    columns = (Column("distillmos", "MOS", True, 2, "DistillMOS, variant 7, at 16 kHz"),)

    def missing(self) -> MissingPackageError | None:
        if importlib.util.find_spec("distillmos") is None:
            return MissingPackageError("distillmos", "mos", "DistillMOS")
        return None

    @torch.inference_mode()
    def __call__(self, audio: Audio) -> dict[str, float]:
        samples = torch.from_numpy(prepared(self.name, audio))
        return {"distillmos": float(_network()(samples[None]))}


@cache
def _network() -> torch.nn.Module:
    from distillmos import ConvTransformerSQAModel

    with contextlib.redirect_stdout(io.StringIO()):  # it prints where its weights are
        return ConvTransformerSQAModel().eval()


PREDICTOR = DistillMos()
