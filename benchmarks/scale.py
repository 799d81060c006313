"""Put timings into docs/scale.md, lm.md and onnx.md: rates, and estimates for large corpora.

    python benchmarks/scale.py docs/scale.md            # rewrites the tables between the marks
    python benchmarks/scale.py docs/scale.md --check    # exit 1 if they are outdated

Reads what benchmarks/speed/corpus.py, small_corpora.py, long_audio.py, streaming.py, lm.py and
compiled.py wrote below results/.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MEASURED = ROOT / "results/speed/corpus-cpu.json"
SMALL = ROOT / "results/speed/small-corpora-cpu.json"
LONG = ROOT / "results/long/long-cpu.json"
LM = ROOT / "results/speed/lm-cpu.json"
COMPILED = ROOT / "results/speed/compiled-cpu.json"
STREAMS = ROOT / "results/speed/streaming-cpu.json"
MARKED = re.compile(r"(<!-- scale: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
CORPORA = {"LibriSpeech, 960 h": 960, "10,000 h": 10_000, "1,000,000 h": 1_000_000}
NOTHING = "not measured"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("document", type=Path)
    parser.add_argument("--check", action="store_true", help="change nothing")
    arguments = parser.parse_args()
    text = arguments.document.read_text(encoding="utf-8")
    record = json.loads(MEASURED.read_text()) if MEASURED.exists() else None
    new = rendered(text, record)
    if new == text:
        return 0
    if arguments.check:
        print(f"{arguments.document} is outdated: run benchmarks/scale.py")
        return 1
    arguments.document.write_text(new, encoding="utf-8")
    return 0


def rendered(text: str, record: dict[str, Any] | None) -> str:
    """The document with its tables written again."""
    tables = {
        "rates": lambda: rates(record),
        "small": small_corpora,
        "corpora": lambda: extrapolated(record),
        "long": long_sound,
        "streams": streams,
        "lm": language_model,
        "compiled": compiled,
    }
    return MARKED.sub(lambda match: match[1] + tables[match[2]]() + match[3], text)


def rates(record: dict[str, Any] | None) -> str:
    """The measured rates: one row per codec, corpus and peer."""
    if record is None:
        return f"{NOTHING}\n"
    head = ["codec", "corpus", "peer", "seconds of sound per second", "times the plain loop"]
    head += ["codes unlike it", "peak memory, MB"]
    body = [
        [
            row["codec"], row["corpus"], row["peer"], f"{row['real_time_factor']:.1f}",
            f"{row['ratio']:.2f}", f"{row['differing']:.0f} of {row['codes']:.0f}",
            f"{row['peak_mb']:.0f}",
        ]
        for row in _measured(record)
    ]  # fmt: skip
    note = f"On {record['hardware']}, {record['cores']} cores; GPU: not measured.\n"
    return _table(head, body) + "\n" + note


def small_corpora() -> str:
    """Whole processes on few or uneven files, against the loop that a user would write."""
    if not SMALL.exists():
        return f"{NOTHING}\n"
    record = json.loads(SMALL.read_text())
    head = ["codec", "corpus", "files", "seconds of sound"]
    head += ["plain loop, s", "audiotok, s", "speed-up"]
    rows = {(row["codec"], row["case"], row["peer"]): row for row in record["rows"]}
    body = [
        [
            codec, case, str(row["files"]), f"{row['seconds']:g}",
            f"{rows[codec, case, 'plain loop']['wall_s']:.1f}", f"{row['wall_s']:.1f}",
            f"{row['ratio']:.2f}",
        ]
        for (codec, case, peer), row in rows.items()
        if peer == "audiotok"
    ]  # fmt: skip
    note = f"On {record['hardware']}, {record['rows'][0]['cores']} cores.\n"
    return _table(head, body) + "\n" + note


def extrapolated(record: dict[str, Any] | None) -> str:
    """From the rate on long and short files: time of one machine, machines for a day, storage."""
    head = [
        "corpus",
        "codec",
        "at the rate of",
        "one such machine",
        "machines for one day",
        "shards",
    ]
    body = []
    for corpus, hours in CORPORA.items():
        for row in _measured(record) if record else ():
            if row["peer"] != "audiotok":
                continue
            days = hours / row["real_time_factor"] / 24
            size = hours * row["bytes_per_hour"] / 1e9
            body.append(
                [corpus, row["codec"], f"{row['corpus']} files", f"{days:,.1f} days",
                 f"{max(1, -(-days // 1)):,.0f}", f"{size:,.1f} GB"]
            )  # fmt: skip
        body.append([corpus, "any", "a GPU", *[NOTHING] * 3])
    return _table(head, body)


def long_sound() -> str:
    """Memory and speed of long sound, and the codes that windows change."""
    if not LONG.exists():
        return f"{NOTHING}\n"
    head = ["codec", "minutes", "memory to encode, MiB", "to decode, MiB"]
    head += ["seconds of sound per second, encode", "decode", "codes changed"]
    body = [
        [
            row["codec"], f"{row['minutes']:g}", f"{row['rss_mib_encode']:.0f}",
            f"{row['rss_mib_decode']:.0f}", f"{row['rtf_encode']:.1f}", f"{row['rtf_decode']:.1f}",
            f"{row['changed_codes']:.2%} of {row['codes']}",
        ]
        for row in json.loads(LONG.read_text())["rows"]
    ]  # fmt: skip
    return _table(head, body)


def streams() -> str:
    """Work on each chunk of sound that comes in."""
    if not STREAMS.exists():
        return f"{NOTHING}\n"
    record = json.loads(STREAMS.read_text())
    head = ["codec", "way", "ms per chunk of 80 ms", "95 % below", "codes unlike the whole"]
    head += ["algorithmic latency, ms"]
    body = [
        [
            row["codec"], row["way"], f"{row['ms']:.1f}", f"{row['ms95']:.1f}",
            NOTHING if row["differing"] is None else f"{row['differing']}",
            f"{row['algorithmic_ms']:.0f}",
        ]
        for row in record["rows"]
    ]  # fmt: skip
    return _table(head, body) + f"\nOn {record['hardware']}; random weights, official sizes.\n"


def compiled() -> str:
    """Networks as they are, under `torch.compile` and under onnxruntime."""
    record = json.loads(COMPILED.read_text())
    head = ["codec", "work", "audiotok, ms", "torch.compile, ms", "first call, s"]
    head += ["onnxruntime, ms"]
    by_peer: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for row in record["rows"]:
        by_peer.setdefault((row["codec"], row["work"]), {})[row["peer"]] = row
    body = [
        [
            *key, f"{peers['audiotok']['ms']:.0f}", f"{peers['torch.compile']['ms']:.0f}",
            f"{peers['torch.compile']['first_s']:.0f}", f"{peers['onnxruntime']['ms']:.0f}",
        ]
        for key, peers in by_peer.items()
    ]  # fmt: skip
    row = record["rows"][0]
    where = f"{record['hardware']}, {row['cores']} cores, {row['seconds']} s of sound"
    return _table(head, body) + f"\nOn {where}; weights of EnCodec and DAC are random.\n"


def language_model() -> str:
    """Training and generation beside nanoGPT."""
    record = json.loads(LM.read_text())
    head = ["work", "peer", "ms", "tokens per second", "ratio"]
    body = [
        [
            row["work"], row["peer"], f"{row['ms']:.1f}", f"{row['tokens_per_s']:.0f}",
            f"{row['ratio']:.2f}",
        ]
        for row in record["rows"]
    ]  # fmt: skip
    return _table(head, body) + f"\nOn {record['hardware']}.\n"


def _measured(record: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for row in record["rows"] if row.get("wall_s")]


def _table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *body]
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


if __name__ == "__main__":
    sys.exit(main())
