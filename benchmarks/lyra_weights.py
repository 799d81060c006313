"""Writes the network of Lyra v2 as a file of weights of PyTorch, a codec of family `mini`.

    python benchmarks/lyra_weights.py FOLDER lyra-v2.safetensors
    audiotok train rvq-small start_from=lyra-v2.safetensors data.corpus=...

FOLDER has the three TFLite models. Lyra computes a part of its layers in 8 bits, this network does
not: their sounds are alike, not equal (audiotok/codecs/_lyra_weights.py).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from audiotok.codec import checkpoints
from audiotok.codecs import _lyra_weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of the three models")
    parser.add_argument("out", type=Path, help="file to write, .safetensors")
    arguments = parser.parse_args()
    network = _lyra_weights.network(arguments.folder)
    metadata = {
        "family": "mini",
        "name": "lyra-v2",
        "config": network.config.model_dump_json(),
        "training_data": json.dumps(["not published: what Lyra v2 was trained on"]),
    }
    checkpoints.save(arguments.out, network.state_dict(), metadata)


if __name__ == "__main__":
    main()
