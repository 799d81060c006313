"""`audiotok push`: a codec as a repository of the Hugging Face Hub.

    model.safetensors    the weights, which `audiotok.load("hub:org/name")` reads
    README.md            model card: model-index with the results in results/, facts, use
    samples/             bundled clips and their reconstructions, 16-bit WAV

The address and the token are those of huggingface_hub: HF_ENDPOINT, HF_TOKEN or `hf auth login`.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from audiotok import data
from audiotok.codec.codec import Codec
from audiotok.errors import AudiotokError, CodecError
from audiotok.report import hub
from audiotok.report.site.sounds import CLIPS, CORPUS
from audiotok.results.results import read_all
from audiotok.system.escaping import markdown_table
from audiotok.system.files import replacing

_CARD = """
# {title}

{description}

```python
import audiotok

codec = audiotok.load("hub:{repository}")
tokens = codec.encode("talk.wav")  # codes: int64 (channels, codebooks, frames)
audio = codec.decode(tokens)
```

{facts}
Samples: `samples/NAME.reference.wav` is the recording, `samples/NAME.wav` its
reconstruction. {measured}
"""


def push(codec: Codec, repository: str, results: str | Path, *, private: bool = False) -> str:
    """Creates the repository if it is missing, and uploads the files in one commit.

    Args:
        codec: with weights that `Codec.save_pretrained` can write.
        repository: org/name.
        results: folder of results; those of the codec, if any, become the model-index.
        private: of a new repository.

    Returns:
        The address of the repository.

    Raises:
        AudiotokError: the Hub cannot be reached, or refuses. Then no file is uploaded; a new
            repository may remain, empty.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    with tempfile.TemporaryDirectory() as folder:
        root = write(codec, Path(folder) / "repository", repository, results)
        try:
            api = HfApi()
            url = api.create_repo(repository, private=private or None, exist_ok=True)
            files = sorted(path for path in root.rglob("*") if path.is_file())
            api.create_commit(
                repository,
                [CommitOperationAdd(path.relative_to(root).as_posix(), path) for path in files],
                commit_message=f"{codec.card.name}, by audiotok",
            )
        except (
            OSError,
            ValueError,
        ) as reason:  # base classes of all exceptions of the Hub's client
            line = " ".join(str(reason).split())[:300]
            raise AudiotokError(
                f"{codec.card.name} was not uploaded to {repository} ({type(reason).__name__}: "
                f"{line}): check the name, the network and `hf auth login`"
            ) from reason
    return str(url)


def write(codec: Codec, folder: str | Path, repository: str, results: str | Path) -> Path:
    """Writes the files of the repository into a new folder; returns it.

    Raises:
        AudiotokError: `repository` is not org/name, the folder is not empty, or the codec has no
            weights to write.
    """
    folder = Path(folder)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        raise AudiotokError(f"{repository!r} is no repository: expected ORG/NAME")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise AudiotokError(f"{folder} exists and is not empty: name a new folder")
    codec.save_pretrained(folder)
    samples = folder / "samples"
    samples.mkdir()
    clips = {clip.id: clip for clip in data.load(CORPUS).clips}
    for name in CLIPS:
        sound = clips[name].read()
        sound.save(samples / f"{name}.reference.wav")
        codec.reconstruct(sound).save(samples / f"{name}.wav")
    with replacing(folder / "README.md", CodecError) as file:
        file.write(card(codec, repository, results).encode())
    return folder


def card(codec: Codec, repository: str, results: str | Path) -> str:
    """The model card; without results of this codec in `results`, it says "not measured"."""
    codec_card, facts = codec.card, codec._facts()
    name = codec_card.base_name.partition("@")[0]
    if Path(results).is_dir() and any(result.codec == name for result in read_all(results)):
        head = hub.front_matter(results, name)
        measured = "Measured with `audiotok bench`; intervals and clips are in the metadata."
    else:
        head = hub.plain_front_matter(name, codec_card.family, codec_card.licence_weights)
        measured = f"Not measured yet: `audiotok bench -t hub:{repository}`."
    rows = [["codes", facts["codes"]], ["sample rates", facts["sample rates"]]]
    rows += [["training data", ", ".join(codec_card.training_data) or "not stated"]]
    rows += [["licence of the weights", codec_card.licence_weights or "not stated"]]
    rows += [["fingerprint of the codebooks", codec.fingerprint]]
    return head + _CARD.format(
        title=name,
        description=(
            f"A discrete audio codec of the family {codec_card.family}: {codec_card.description}."
        ),
        repository=repository,
        facts=markdown_table(["", ""], rows),
        measured=measured,
    )
