"""Writes a page to listen to what benchmarks/tts_speak.py spoke, beside the recordings.

    python benchmarks/tts_page.py SPOKEN/manifest.tsv PAGE [--systems NAME NAME] [--count 12]

The page has the first sentences, each in its first voice, that all chosen systems speak. The sounds
keep the metadata that mark them as synthetic.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

from tts_corpus import read

from audiotok.data import Clip
from audiotok.report import listening
from audiotok.results.results import REFERENCE
from audiotok.sound import comments
from audiotok.sound.audio import read as read_sound


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("page", type=Path)
    parser.add_argument("--systems", nargs="+", help="without it, all of the manifest")
    parser.add_argument("--count", type=int, default=12, help="number of sentences")
    arguments = parser.parse_args()
    sentences: dict[tuple[str, str], dict[str, dict[str, str]]] = defaultdict(dict)
    for row in read(arguments.manifest):
        sentences[Path(row["audio"]).stem, row["text"]][row["codec"]] = row
    spoken = {system: None for rows in sentences.values() for system in rows}
    systems = arguments.systems or list(spoken)
    if unknown := set(systems) - set(spoken):
        parser.error(f"{', '.join(unknown)} is not in the manifest: it has {', '.join(spoken)}")
    clips, texts = [], set()
    for (name, text), rows in sentences.items():
        if text in texts or not set(systems) <= set(rows) or len(clips) == arguments.count:
            continue
        texts.add(text)
        row = rows[systems[0]]
        versions = [listening.Version(REFERENCE, read_sound(row["reference"]))]
        for system in systems:
            path = arguments.manifest.parent / rows[system]["audio"]
            comment = comments.read(path) or None
            versions.append(listening.Version(system, read_sound(path), comment=comment))
        clips.append((Clip(name, Path(row["reference"]), text=text), versions))
    print(listening.write_versions(clips, arguments.page))


if __name__ == "__main__":
    main()
