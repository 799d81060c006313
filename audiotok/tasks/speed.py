"""Speed: real-time factor of encode and decode, seconds of audio per second of work; and memory.

Higher is faster. A number is meaningless without its hardware, so each row names it. `bench`
measures the seconds, one clip at a time, without files and metrics. The best batch and the memory
are measured once per codec, on SECONDS seconds of a clip, see `_load.py`.
"""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING

from audiotok.tasks import Column, Item, Task, _load

if TYPE_CHECKING:
    import pandas

    from audiotok.codec.codec import Codec
    from audiotok.sound.audio import Audio
    from audiotok.tokens.tokens import Tokens


class Speed(Task):
    """Real-time factors; those of a corpus are all audio by all work. Nothing is ranked: times are
    costs that depend on the hardware."""

    name = "speed"
    version = 2  # batches, memory
    ranked = ()
    timing = True
    observes = True
    columns = (
        Column("rtf_encode", "x", True, 1, "seconds of audio encoded per second of work"),
        Column("rtf_decode", "x", True, 1, "seconds of audio decoded per second of work"),
        Column("seconds_audio", "s", None, 2, "duration of the clip"),
        Column("seconds_encode", "s", False, 3, "work of encode"),
        Column("seconds_decode", "s", False, 3, "work of decode"),
        Column("rtf_encode_batched", "x", True, 1, "the same at the best batch, equal clips"),
        Column("rtf_decode_batched", "x", True, 1, "the same at the best batch, equal clips"),
        Column("batch_encode", "", None, 0, "size of the best batch: 1, 2, 4, 8 or 16"),
        Column("batch_decode", "", None, 0, "size of the best batch: 1, 2, 4, 8 or 16"),
        Column(
            "peak_memory",
            "MB",
            False,
            0,
            f"weights, and the most that coding {_load.SECONDS} s adds, 10^6 bytes: resident "
            "memory on a CPU, what PyTorch allocates on a GPU",
        ),
    )

    def __init__(self):
        self._last: tuple[str, dict[str, float]] = ("", {})  # the codec measured last

    def left_out(self) -> dict[str, str]:
        if _load.can_measure_memory():
            return {}
        return {"peak_memory": "needs a GPU, or Linux, which reports the peak of a process"}

    def observe(self, codec: Codec, reference: Audio, tokens: Tokens) -> dict[str, float]:
        key = f"{codec.card.name} {codec.fingerprint} {codec.device}"
        if self._last[0] != key:
            with _load.forked(codec):
                self._last = key, _load.measure(codec, reference)
        return self._last[1]

    def score(self, item: Item) -> dict[str, float | str]:
        """Empty in the ceiling row, where nothing was encoded."""
        work = {"encode": item.seconds_encode, "decode": item.seconds_decode}
        if not all(work.values()):
            return {}
        duration = item.reference.duration
        row = {f"rtf_{direction}": duration / seconds for direction, seconds in work.items()}
        row |= {f"seconds_{direction}": seconds for direction, seconds in work.items()}
        row["seconds_audio"] = duration
        row |= item.observed or {}
        if item.hardware:
            row["hardware"] = item.hardware
        return row

    def summarise(self, rows: pandas.DataFrame, tokens: list[Tokens]) -> dict[str, float]:
        if "seconds_audio" not in rows or not (rows := rows.dropna(subset=["seconds_audio"])).size:
            return {}
        total = rows[["seconds_audio", "seconds_encode", "seconds_decode"]].sum()
        return {
            f"rtf_{direction}": float(total["seconds_audio"] / total[f"seconds_{direction}"])
            for direction in ("encode", "decode")
        }


def hardware(device: str = "cpu") -> str:
    """What this process computes on: 'AMD EPYC 7B13, 2 threads', or the name of the GPU."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{_processor()}, {threads} thread{'s' * (threads > 1)}"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
