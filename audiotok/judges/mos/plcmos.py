"""PLCMOS v2 (Diener et al. 2023), by Microsoft's speechmos: quality of packet loss concealment.

The network comes with the package. It rates a sound 15 times with random rater embeddings; here
their seed is fixed, so that a sound always has the same score.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from audiotok.errors import MissingPackageError
from audiotok.judges.mos import _speechmos, prepared
from audiotok.metrics import Column
from audiotok.sound.audio import Audio

SEED = 0


class Plcmos:
    """One score."""

    name = "plcmos"
    identity: dict[str, str] = {}
    columns = (Column("plcmos", "MOS", True, 2, "PLCMOS v2, speechmos, at 16 kHz, fixed raters"),)

    def missing(self) -> MissingPackageError | None:
        return _speechmos.missing("PLCMOS")

    def __call__(self, audio: Audio) -> dict[str, float]:
        samples = prepared(self.name, audio)
        network, before = _network(), np.random.get_state()
        np.random.seed(SEED)
        try:
            return {"plcmos": float(network(samples)["plcmos"])}
        finally:
            np.random.set_state(before)


@cache
def _network():
    from speechmos import plcmos

    with _speechmos.one_thread(plcmos.ort):
        return plcmos.PLCMOS()


PREDICTOR = Plcmos()
