"""PLCMOS v2 (Diener et al. 2023), by Microsoft's package speechmos: how gaps in speech were filled.

The network comes with the package. It hears a sound 15 times with randomly drawn raters; here they
come from a fixed seed, so that a sound always has the same score.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from audiotok.errors import MissingPackageError
from audiotok.judges.mos import _speechmos, listened
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
        samples = listened(self.name, audio)
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
