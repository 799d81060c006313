"""The verb fit-units: centroids of k-means units."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from audiotok.cli.options import Device, Limit, Overwrite


def fit_units(
    corpus: Annotated[
        str, typer.Argument(help="Corpus: a folder, a manifest, or a name such as bundled.")
    ],
    tokenizer: Annotated[
        str,
        typer.Option(
            "--tokenizer", "-t", help="Network, k and layers, as units:hubert:k=500,layer=9."
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="File to write; its name ends in .safetensors.")
    ],
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint", "-c", help="Folder or file with the weights of the network itself."
        ),
    ] = None,
    frames: Annotated[
        int, typer.Option(help="Largest number of frames to fit to, a random sample.")
    ] = 200_000,
    passes: Annotated[int, typer.Option(help="Number of passes of k-means over the frames.")] = 20,
    limit: Limit = None,
    seed: Annotated[int, typer.Option(help="Seed of the sample and of k-means.")] = 0,
    device: Device = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Learn the centroids of k-means units on recordings, by mini-batch k-means.

    `-t FILE.safetensors` then encodes with them.
    """
    from audiotok.cli import show
    from audiotok.errors import CodecError
    from audiotok.system import outputs
    from audiotok.system.interrupts import stopping
    from audiotok.training.unit_fitting import fit_units as fit

    if out.suffix.lower() != ".safetensors":
        raise CodecError(f"cannot write {out}: expected a name that ends in .safetensors")
    inputs = [path for path in (checkpoint, corpus) if path is not None]
    outputs.check([out], inputs, overwrite)
    with stopping("Stopped. Nothing was written."), show.long(f"fitting {tokenizer}"):
        report = fit(
            tokenizer,
            corpus,
            out,
            checkpoint=checkpoint,
            frames=frames,
            passes=passes,
            limit=limit,
            seed=seed,
            device=device,
        )
    distances = ", ".join(f"{distance:g}" for distance in report["mean_squared_distance"])
    print(
        f"{out}: centroids of {report['frames']} frames, {report['seconds']:.0f} s of "
        f"{report['corpus']}; mean squared distance {distances}"
    )
