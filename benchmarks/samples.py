"""Manifests of the sounds that a survey of discrete audio tokens published, for the suite samples.

    python benchmarks/samples.py FOLDER OUT
    export AUDIOTOK_AUDIO_ROOTS=FOLDER
    for domain in speech-against-dac music audio; do
        audiotok bench -s samples --data OUT/survey-$domain.tsv
    done

FOLDER holds files named `rec_DOMAIN_TOKENIZER_ITEM.wav`. TOKENIZER is the survey's name in lower
case without hyphens, in speech with the number of codebooks behind it, where it has several
settings; `gt` is the original. Of speech no original was published: DAC with 32 codebooks, the best
of the survey's table, stands in for it, and the name of the manifest says so.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from audiotok.results import published

NAMES = {published.file_name(name): name for name in published.samples()}
FILE = re.compile(r"rec_(?P<domain>[a-z]+)_(?P<codec>[a-z0-9]+)_(?P<item>\d+)\.wav")
STAND_IN = {"speech": "dacsma2432"}


def codec_name(codec: str) -> str:
    """The name of the codec that a file name calls `codec`."""
    if codec == "gt":
        return "original"
    tokenizer = max((name for name in NAMES if codec.startswith(name)), key=len)
    books = codec.removeprefix(tokenizer)
    return published.sample(NAMES[tokenizer], books)


def manifests(folder: Path) -> dict[str, str]:
    """The manifests of a folder, by their names."""
    rows: dict[str, list[str]] = {}
    for path in sorted(folder.absolute().rglob("rec_*.wav")):
        if not (match := FILE.fullmatch(path.name)):
            raise SystemExit(f"{path}: expected a name rec_DOMAIN_TOKENIZER_ITEM.wav")
        domain, codec, item = match.group("domain", "codec", "item")
        reference = STAND_IN.get(domain, "gt")
        name = f"rec_{domain}_{reference}_{item}.wav"
        original = "" if codec == reference else str(path.with_name(name))
        row = "\t".join((str(path), original, codec_name(codec), domain))
        rows.setdefault(domain, []).append(row)
    return {
        f"survey-{domain}{'-against-dac' if domain in STAND_IN else ''}.tsv": "\n".join(
            ["audio\treference\tcodec\tdomain", *lines, ""]
        )
        for domain, lines in rows.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, text in manifests(arguments.folder).items():
        (arguments.out / name).write_text(text, encoding="utf-8")
        print(arguments.out / name)


if __name__ == "__main__":
    main()
