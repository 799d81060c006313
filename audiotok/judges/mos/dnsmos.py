"""DNSMOS P.808 (Reddy et al. 2021) and P.835 (Reddy et al. 2022), by Microsoft's speechmos.

P.808 rates the overall quality; P.835 rates the speech (SIG), the background (BAK) and the overall
quality (OVRL). The networks come with the package. Scores are means over windows of 9.01 s that
start every second; shorter sounds are repeated first.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

from audiotok.errors import MissingPackageError
from audiotok.judges.mos import _speechmos, prepared
from audiotok.metrics import Column
from audiotok.sound.audio import Audio

_KEYS = {
    "dnsmos_p808": "p808_mos",
    "dnsmos_sig": "sig_mos",
    "dnsmos_bak": "bak_mos",
    "dnsmos_ovrl": "ovrl_mos",
}


class Dnsmos:
    """All four scores."""

    name = "dnsmos"
    identity: dict[str, str] = {}
    columns = (
        Column("dnsmos_p808", "MOS", True, 2, "DNSMOS P.808, speechmos, at 16 kHz"),
        Column("dnsmos_sig", "MOS", True, 2, "DNSMOS P.835 of the speech, speechmos, at 16 kHz"),
        Column("dnsmos_bak", "MOS", True, 2, "DNSMOS P.835 of the background, as above"),
        Column("dnsmos_ovrl", "MOS", True, 2, "DNSMOS P.835 of the whole, as above"),
    )

    def missing(self) -> MissingPackageError | None:
        return _speechmos.missing("DNSMOS")

    def __call__(self, audio: Audio) -> dict[str, float]:
        samples = prepared(self.name, audio)
        scores = _network()(samples, 16_000, False)
        return {column: float(scores[key]) for column, key in _KEYS.items()}


@cache
def _network():
    from speechmos import dnsmos

    folder = f"{find_spec('speechmos').submodule_search_locations[0]}/dnsmos_models"
    with _speechmos.one_thread(dnsmos.ort):
        return dnsmos.DNSMOS(f"{folder}/sig_bak_ovr.onnx", f"{folder}/model_v8.onnx")


PREDICTOR = Dnsmos()
