"""Token density and rate-quality curves, computed from results. No torch.

    import audiotok
    audiotok.density("results/smoke-v2/bundled-38d6c314")
    points, areas = audiotok.rate_quality("results/rate-quality-v1/bundled-38d6c314", "stoi")

`audiotok bench --suite rate-quality -t 'mimi:codebooks=*,merge=*'` measures the points of a curve.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from audiotok.errors import ResultsError
from audiotok.results.results import Result, columns, order, read

GATES = {"stoi": 0.75, "speaker_similarity": 0.75, "accuracy": 0.5}
"""{quality: the lowest value for which a codec has a density}. `accuracy` is 1 - dwer: the share of
words that are recognised as in the reference."""

MERGED = ("codebooks", "merge")
"""Options that change only the bitrate: variants that differ in these are points of one curve."""


def density(
    results: str | Path | Iterable[Result], gates: dict[str, float] | None = None
) -> pd.DataFrame:
    """Token density: quality for each token and for each bit per second.

    A quality Q in 0..1 gives 100 Q / token_rate ("<quality>_per_token", % per token/s) and
    1e5 Q / bitrate ("<quality>_per_bit", % per kbit/s). The ratio alone rewards unusably low rates,
    so it is NaN if the quality is below its gate. The density is that of TokDense (VQToken, Zhang
    and Fu 2025, arXiv 2503.16980); the gate is an addition of audiotok.

    Args:
        results: folder of one setting (or above it, where it holds only one), or its results.
        gates: {quality: gate}; GATES if None. Qualities are columns, or `accuracy`.

    Returns:
        One row per codec with tokens.
    """
    rows = {}
    for result in _one_setting(results):
        rate, bits = (_mean(result, name) for name in ("token_rate", "bitrate"))
        if not rate or not bits:
            continue
        row = rows[result.codec] = {"token_rate": rate, "bitrate": bits}
        for quality, gate in (GATES if gates is None else gates).items():
            value = _quality(result, quality)
            value = math.nan if value is None or value < gate else value
            row[f"{quality}_per_token"] = 100 * value / rate
            row[f"{quality}_per_bit"] = 1e5 * value / bits
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("codec")


def rate_quality(
    results: str | Path | Iterable[Result],
    quality: str = "stoi",
    bits: tuple[float, float] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A curve for each codec, of all its codebook counts and merge rates, and the area under it.

    The curve is the Pareto front of the points of the codec. Between points quality is linear in
    log2(bitrate); above the last one it is constant. The area is
    the mean quality over log2(bitrate) from `bits[0]` to `bits[1]`, in the unit of the quality.

    Args:
        results: as for `density`.
        quality: a column whose direction is known, or `accuracy`.
        bits: lowest and highest bitrate of the area; None: those of the curve of each codec; then
            areas are comparable only for codecs with the same range.

    Returns:
        Points (codec, curve, token_rate, bitrate, <quality>, front), and areas by curve: area,
        lowest and highest bitrate, number of points. An area is NaN if the curve begins above
        `bits[0]`, or if it is a single point and `bits` is None.
    """
    measured = _one_setting(results)
    better = True if quality == "accuracy" else _direction(measured, quality)
    points = [
        {
            "codec": result.codec,
            "curve": curve_of(result),
            "token_rate": _mean(result, "token_rate"),
            "bitrate": _mean(result, "bitrate"),
            quality: _quality(result, quality),
        }
        for result in measured
        if result.role in ("neural", "baseline")
    ]
    names = ["codec", "curve", "token_rate", "bitrate", quality]
    table = pd.DataFrame(points, columns=names).dropna(subset=["bitrate", quality])
    table = table.sort_values(["curve", "bitrate", "codec"], ignore_index=True)
    table["front"] = False
    areas = {}
    for curve, part in table.groupby("curve"):
        front = _front(part, quality, better)
        table.loc[front, "front"] = True
        x, y = table.loc[front, "bitrate"].to_numpy(), table.loc[front, quality].to_numpy()
        low, high = bits or (x[0], x[-1])
        areas[curve] = {
            "area": area(x, y, low, high), "low": low, "high": high, "points": len(part),
        }  # fmt: skip
    names = ["area", "low", "high", "points"]
    return table, pd.DataFrame.from_dict(areas, orient="index", columns=names).rename_axis("curve")


def area(bitrate: np.ndarray, quality: np.ndarray, low: float, high: float) -> float:
    """Mean over log2(bitrate) from `low` to `high` of the curve through points of rising bitrate.

    NaN where the curve begins above `low`, or `high` is not above it.
    """
    if low < bitrate[0] or high <= low:
        return math.nan
    inside = bitrate[(bitrate > low) & (bitrate < high)]
    x = np.log2(np.concatenate([[low], inside, [high]]))
    y = np.interp(x, np.log2(bitrate), quality)
    return float(((y[1:] + y[:-1]) / 2) @ np.diff(x) / (x[-1] - x[0]))


def curve_of(result: Result) -> str:
    """The curve that a codec belongs to: its name without the options in MERGED; the family of
    classical codecs, which have a name for each rate."""
    codec = result.summary["codec"]
    options = codec.get("options") or {}
    if not options:
        return codec["family"] if result.role == "baseline" else result.codec
    base, _, option_text = result.codec.rpartition(":")
    weights = re.search(r"@[0-9a-f]{8}$", option_text)
    other_options = [f"{key}={options[key]}" for key in sorted(options) if key not in MERGED]
    return (
        base
        + (f":{','.join(other_options)}" if other_options else "")
        + (weights[0] if weights else "")
    )


def _front(part: pd.DataFrame, quality: str, better: bool) -> list[int]:
    """Labels of the rows that are better than all rows of equal or lower bitrate."""
    sign = 1 if better else -1
    best, front = -math.inf, []
    values = sign * part[quality]
    for label in part.assign(_last=-values).sort_values(["bitrate", "_last"]).index:
        value = values[label]
        if value > best:
            best = value
            front.append(label)
    return front


def _one_setting(results: str | Path | Iterable[Result]) -> list[Result]:
    if not isinstance(results, str | Path):
        return list(results)
    root = Path(results)
    if not root.is_dir():
        raise ResultsError(f"{root} is not a folder: run `audiotok bench` first, or name another")
    measured = list(
        filter(None, (read(path.parent) for path in sorted(root.rglob("summary.json"))))
    )
    settings = sorted({str(result.folder.parent) for result in measured})
    if len(settings) != 1:
        names = ", ".join(settings) or "none"
        raise ResultsError(f"{root} holds {len(settings)} settings ({names}): name one of them")
    return sorted(measured, key=order)


def _mean(result: Result, column: str) -> float | None:
    return (result.scores.get(column) or {}).get("mean")


def _quality(result: Result, quality: str) -> float | None:
    if quality != "accuracy":
        return _mean(result, quality)
    errors = _mean(result, "dwer")
    return None if errors is None else 1 - errors


def _direction(measured: list[Result], quality: str) -> bool:
    """Whether higher is better."""
    directions = {name: column["higher_is_better"] for name, column in columns(measured).items()}
    if directions.get(quality) is None:
        choice = ", ".join(
            sorted(name for name, better in directions.items() if better is not None)
        )
        raise ResultsError(f"{quality!r} is no quality in these results: expected one of {choice}")
    return directions[quality]
