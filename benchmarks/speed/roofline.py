"""A roofline plot: the speed of the searches, with the limits of memory and arithmetic."""

from __future__ import annotations

import statistics
import time
from typing import BinaryIO

import pandas as pd
import torch


def ceilings(device: str) -> dict[str, float]:
    """Measured now: GB/s of a copy (read and written), GFLOP/s of PyTorch's fp32 product."""
    big = torch.ones(1 << 26, device=device)
    target = torch.empty_like(big)
    square = torch.randn(2048, 2048, device=device)
    copy = _seconds(lambda: target.copy_(big), device)
    product = _seconds(lambda: square @ square, device)
    return {
        "copy_gb_per_s": 2 * 4 * big.numel() / copy / 1e9,
        "fp32_product_gflop_per_s": 2 * 2048**3 / product / 1e9,
    }


def _seconds(body, device: str) -> float:
    def once() -> float:
        start = time.perf_counter() if device == "cuda" else time.process_time()
        body()
        if device == "cuda":
            torch.cuda.synchronize()
            return time.perf_counter() - start
        return time.process_time() - start

    once()
    return statistics.median(once() for _ in range(7))


def draw(file: BinaryIO, table: pd.DataFrame, about: dict) -> None:
    """GFLOP/s over FLOP per byte of minimum traffic; one colour per peer, one point per shape."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    searches = table[(table.work == "search") & table.ms.notna()]
    for peer, rows in searches.groupby("peer"):
        ours = peer == "audiotok"
        axes.scatter(
            rows.gflop * 1e3 / rows.mbytes,
            rows.gflop / rows.ms * 1e3,
            s=70 if ours else 22,
            marker="*" if ours else "o",
            label=peer,
            zorder=3 if ours else 2,
        )
    measured = about["ceilings"]
    bandwidth, product = measured["copy_gb_per_s"], measured["fp32_product_gflop_per_s"]
    intensities = [0.3, 1e4]
    axes.plot(
        intensities,
        [bandwidth * x for x in intensities],
        "k--",
        lw=1,
        label=f"memory copy, {bandwidth:.0f} GB/s",
    )
    label = f"PyTorch's fp32 product, {product:.0f} GFLOP/s"
    axes.axhline(product, color="k", ls=":", lw=1, label=label)
    top = max(product, (searches.gflop / searches.ms * 1e3).max())
    axes.set(
        xscale="log",
        yscale="log",
        ylim=(top / 3e3, top * 2),
        xlabel="FLOP per byte (latents, codebooks and codes moved once)",
        ylabel="GFLOP/s",
        title=f"Codebook search, {about['hardware']}",
    )
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3, which="both")
    figure.savefig(file, format="png", dpi=110)
