"""Checkpoints of NVIDIA NeMo: a tar archive of weights and their configuration, read as data."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

from audiotok.codec import training_files
from audiotok.errors import CheckpointError
from audiotok.system import yaml_files

WEIGHTS, CONFIG = "model_weights.ckpt", "model_config.yaml"


def read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The state dict and the configuration in a .nemo file.

    Nothing is unpacked to disk. The weights are read with weights_only=True, the configuration as
    safe YAML; an archive that is compressed is refused, since NeMo writes none.

    Raises:
        CheckpointError: it is no such archive, lacks one of both files, or is damaged.
    """
    try:
        with tarfile.open(path, "r:") as archive:
            files = {member.name.removeprefix("./"): member for member in archive if member.isreg()}
            missing = [name for name in (WEIGHTS, CONFIG) if name not in files]
            if missing:
                raise CheckpointError(
                    f"{path} holds no {' and no '.join(missing)}: expected a .nemo file that NeMo "
                    "saved"
                )
            if files[CONFIG].size > yaml_files.BYTES:
                raise ValueError(f"{CONFIG} has more than {yaml_files.BYTES} bytes")
            text = archive.extractfile(files[CONFIG]).read().decode("utf-8")
            weights = io.BytesIO(archive.extractfile(files[WEIGHTS]).read())
        config = yaml_files.parse(text)
        if not isinstance(config, dict):
            raise ValueError(f"{CONFIG} is no mapping")
        return training_files.read_state(weights, path), config
    except CheckpointError:
        raise
    except MemoryError as reason:
        raise CheckpointError(f"{path} does not fit into memory, or is damaged") from reason
    except Exception as reason:  # the file may hold any bytes, and the reader may raise anything
        what = " ".join(str(reason).split())[:200] or type(reason).__name__
        raise CheckpointError(f"{path} is no .nemo file, or damaged: {what}") from reason
