"""Speed: real-time factor of encode and decode, seconds of audio per second of work.

Higher is faster. A number without its hardware says nothing, so each row names it. The seconds are
measured by `bench`, one clip at a time, files and metrics not included.
"""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING

from audiotok.tasks import Column, Item, Task

if TYPE_CHECKING:
    import pandas

    from audiotok.tokens import Tokens


class Speed(Task):
    """Real-time factors; of a corpus, all its audio by all the work."""

    name = "speed"
    version = 1
    timing = True
    columns = (
        Column("rtf_encode", "x", True, 1, "seconds of audio encoded per second of work"),
        Column("rtf_decode", "x", True, 1, "seconds of audio decoded per second of work"),
        Column("seconds_audio", "s", None, 2, "duration of the clip"),
        Column("seconds_encode", "s", False, 3, "work of encode"),
        Column("seconds_decode", "s", False, 3, "work of decode"),
    )

    def score(self, item: Item) -> dict[str, float | str]:
        """Empty in the ceiling row, where nothing was encoded."""
        work = {"encode": item.seconds_encode, "decode": item.seconds_decode}
        if not all(work.values()):
            return {}
        duration = item.reference.duration
        row = {f"rtf_{what}": duration / seconds for what, seconds in work.items()}
        row |= {f"seconds_{what}": seconds for what, seconds in work.items()}
        row["seconds_audio"] = duration
        if item.hardware:
            row["hardware"] = item.hardware
        return row

    def summarise(self, rows: pandas.DataFrame, tokens: list[Tokens]) -> dict[str, float]:
        if "seconds_audio" not in rows or not (rows := rows.dropna(subset=["seconds_audio"])).size:
            return {}
        total = rows[["seconds_audio", "seconds_encode", "seconds_decode"]].sum()
        return {
            f"rtf_{what}": float(total["seconds_audio"] / total[f"seconds_{what}"])
            for what in ("encode", "decode")
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
