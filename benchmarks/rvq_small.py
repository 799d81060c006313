"""Writes the weights of rvq-small: the network of Lyra v2, and codebooks by k-means on its latents.

    python benchmarks/rvq_small.py LYRA rvq-small.safetensors --data CORPUS --data CORPUS

LYRA is the folder of the three TFLite models of Lyra v2. Its network is taken over as floats (see
audiotok/codecs/_lyra_weights.py) and is not trained. Its 46 codebooks of 16 are replaced by 12 of
1024, one after another: k-means on what the codebooks before leave of the latents of the corpora.

What ships: 251 utterances of LibriSpeech train-clean-100, one of each reader, and 466 sentences of
LibriSpeech test-clean spoken by 20 voices of Kokoro-82M; 15 minutes on one core. Training the
network further with spectral losses made validation worse: docs/training.md.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from rich.progress import track

from audiotok import data
from audiotok.codec import checkpoints
from audiotok.codecs import _lyra_weights
from audiotok.codecs.mini import Mini
from audiotok.nn.mini import MiniNetwork
from audiotok.nn.quantizers import MovingAverageLearner

NAME, CODEBOOKS, CODEBOOK_SIZE = "rvq-small", 12, 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lyra", type=Path, help="folder of the three models of Lyra v2")
    parser.add_argument("out", type=Path, help="file to write, .safetensors")
    parser.add_argument("--data", action="append", required=True, help="corpus of speech")
    parser.add_argument("--iterations", type=int, default=20, help="of k-means")
    arguments = parser.parse_args()
    if arguments.out.exists():
        parser.error(f"{arguments.out} exists: name another file")
    network = with_codebooks(arguments.lyra, arguments.data, arguments.iterations)
    (card,) = (card for card in Mini.CARDS if card.name == NAME)
    metadata = {
        "family": card.family,
        "name": NAME,
        "config": network.config.model_dump_json(),
        "training_data": json.dumps(card.training_data),
    }
    state = {key: value.half() for key, value in network.state_dict().items()}
    checkpoints.save(arguments.out, state, metadata)


@torch.no_grad()
def with_codebooks(lyra: Path, corpora: list[str], iterations: int) -> MiniNetwork:
    """The network of Lyra with codebooks that fit the speech of the corpora."""
    source = _lyra_weights.network(lyra).eval()
    quantizer = {"kind": "rvq", "num_codebooks": CODEBOOKS, "codebook_size": CODEBOOK_SIZE}
    content = source.config.model_dump() | {"quantizer": quantizer}
    network = MiniNetwork(type(source.config).model_validate(content))
    for part in ("encoder", "backbone", "head"):
        getattr(network, part).load_state_dict(getattr(source, part).state_dict())
    clips = [clip for corpus in corpora for clip in data.load(corpus)]
    latents = [
        network.encoder(clip.read().converted(1, 16_000)[None]) for clip in track(clips, "encoding")
    ]
    frames = torch.cat(latents, dim=-1)
    generator = torch.Generator().manual_seed(0)
    learner = MovingAverageLearner(network.quantizer)
    learner.start(frames, iterations, frames.shape[-1], generator)
    return network


if __name__ == "__main__":
    main()
