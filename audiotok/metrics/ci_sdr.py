"""CI-SDR: signal-to-distortion ratio invariant to a convolution of the reference.

Boeddeker et al. 2021, 'Convolutive transfer function invariant SDR training criteria', with the 512
taps of its package ci_sdr. For one source it equals the SDR of BSS Eval by definition, as that
package says and tests; computed in fp64, the columns `sdr` and `ci_sdr` are the same number. It has
a column of its own because published tables have both, and there they differ: for fp32 input the
package solves in fp32, which loses some dB of good scores if a sound leaves part of its band empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audiotok.metrics import Column, Metric
from audiotok.metrics._ratios import raw_and_aligned
from audiotok.metrics.sdr import sdr

if TYPE_CHECKING:
    from audiotok.sound.audio import Audio


def compute(reference: Audio, reconstruction: Audio) -> dict[str, float]:
    """Columns ci_sdr and ci_sdr_aligned, in dB. Silence and short sounds raise MetricError."""
    return raw_and_aligned("ci_sdr", sdr, reference, reconstruction)


_WHAT = "signal-to-distortion ratio invariant to a filter of 512 taps; of one source it is sdr"
METRIC = Metric(
    name="ci_sdr",
    version=1,
    columns=(
        Column("ci_sdr", "dB", True, 2, _WHAT),
        Column("ci_sdr_aligned", "dB", True, 2, f"{_WHAT}; after undoing the measured delay"),
    ),
    compute=compute,
    at_16k=("ci_sdr", "ci_sdr_aligned"),
)
