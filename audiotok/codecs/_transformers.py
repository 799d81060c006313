"""What the codecs wrapped from transformers share: a network from a config.json and its weights.

Nothing is downloaded, and no code of a repository runs: only the sizes in a configuration are used,
with the classes of the installed package. Weights load as `from_pretrained` loads them, also with
old key names, but strictly: an unexpected, missing or misshapen key is an error.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audiotok.codec import checkpoints
from audiotok.codec.codec import Codec
from audiotok.codec.inference import LOADING
from audiotok.codecs._searches import ScalarSearch, latents_of
from audiotok.errors import CheckpointError, CodecError
from audiotok.system.defaults import no_autocast
from audiotok.system.dependencies import need_transformers

EXTRA = "hf"
# Keys of a configuration that select code or a way to run it; they are no sizes of the network.
_NOT_SIZES = ("auto_map", "attn_implementation", "experts_implementation", "dtype", "_name_or_path")


class Wrapped(Codec):
    """A codec whose network, with its quantizer, is a model of transformers."""

    EXTRA = EXTRA
    MODEL_TYPE: ClassVar[str]  # in the config.json
    MODEL: ClassVar[str]  # class in transformers
    EXTRACTOR: ClassVar[str | None] = None  # class in transformers, where the network needs one
    MERGEABLE: ClassVar[bool] = True
    UNUSED: ClassVar[tuple[str, ...]] = ()  # keys of official weights that the network may not have

    @classmethod
    def sizes(cls, config: Any) -> dict[str, Any]:
        """The fields of a card that follow from a configuration, for all codebooks."""
        raise NotImplementedError

    def _prepare(self) -> None:
        """Replaces the quantizer of the network; see `_searches`."""
        raise NotImplementedError

    def _load(self, checkpoint: Path | None) -> None:
        path = checkpoint.with_name("config.json")
        config = make_config(read_config(path), self.MODEL, path, self.card.name)
        self._check_sizes(self.sizes(config), path)
        state, _ = checkpoints.read_state(checkpoint)
        self.network = build(self.MODEL, config, state, checkpoint, self.UNUSED)
        if self.EXTRACTOR:
            self.extractor = self._read_extractor(checkpoint.with_name("preprocessor_config.json"))
        self._prepare()

    def _run_encoder(self, waveform: Tensor) -> None:
        """Runs the network's own `encode` on (B, C, L)."""
        raise NotImplementedError

    def _encode_latents(self, waveform: Tensor) -> Tensor:
        return latents_of(lambda: self._run_encoder(waveform))

    def _check_sizes(self, sizes: dict[str, Any], path: Path) -> None:
        count = self.card.num_codebooks
        actual = {**sizes, "codebook_sizes": tuple(sizes["codebook_sizes"])[:count]}
        differing = {k: v for k, v in actual.items() if v != getattr(self.card, k)}
        if differing:
            declared = ", ".join(f"{k} {v}" for k, v in differing.items())
            expected = ", ".join(f"{k} {getattr(self.card, k)}" for k in differing)
            raise CheckpointError(
                f"{path} is not of {self.card.name}: it says {declared}, the card {expected}; "
                "hf:FOLDER loads networks of other sizes"
            )

    def _read_extractor(self, path: Path):
        """The feature extractor of transformers, with its defaults if there is no file."""
        fields = read_json(path) if path.is_file() else {}
        accepted = ("feature_size", "sampling_rate", "padding_value", "hop_length")
        extractor = known_class(self.EXTRACTOR, self.card.name)(
            **{key: fields[key] for key in accepted if key in fields}
        )
        actual = (extractor.sampling_rate, extractor.hop_length)
        if actual != (self.card.sample_rate_in, self.hop_length):
            raise CheckpointError(
                f"{path} does not fit {self.card.name}: sampling_rate and hop_length are {actual}, "
                f"expected {(self.card.sample_rate_in, self.hop_length)}"
            )
        return extractor


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(
            f"{path} is missing: it lies beside the weights in the folder that transformers writes"
        ) from None
    except (OSError, ValueError, RecursionError) as reason:
        raise CheckpointError(f"{path} is not JSON: {one_line(reason)}") from reason
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is not a configuration: expected an object, in braces")
    return content


def read_config(path: Path) -> dict[str, Any]:
    """The sizes in a config.json; raises CheckpointError if it is of quantized weights."""
    return _sizes_only(read_json(path), path)


def _sizes_only(content: Any, path: Path) -> Any:
    if isinstance(content, list):
        return [_sizes_only(value, path) for value in content]
    if not isinstance(content, dict):
        return content
    if content.get("quantization_config"):
        raise CheckpointError(f"{path} is of quantized weights: expected those in full precision")
    return {
        key: _sizes_only(value, path)
        for key, value in content.items()
        if not any(word in key for word in _NOT_SIZES)
    }


def make_config(content: dict[str, Any], model: str, path: Path, name: str) -> Any:
    """The configuration object of a model class, from the content of a config.json."""
    config_class = known_class(model, name).config_class
    if content.get("model_type") != config_class.model_type:
        raise CheckpointError(
            f"{path} is of model_type {content.get('model_type')!r}, expected "
            f"{config_class.model_type!r} for {name}"
        )
    try:
        return config_class.from_dict(content)
    except Exception as reason:  # any values may be in there, and each class checks its own way
        raise CheckpointError(f"{path} is refused: {one_line(reason)}") from reason


def known_class(cls: str, name: str) -> Any:
    """A class of transformers, for the codec of that name."""
    need_transformers(EXTRA, name)
    import transformers

    try:
        with LOADING:  # transformers imports it here, which fails in two threads at once
            return getattr(transformers, cls)
    except AttributeError:
        raise CodecError(
            f"{name} needs a newer transformers than {transformers.__version__}, which has no "
            f"{cls}: pip install -U 'audiotok[{EXTRA}]'"
        ) from None


def build(
    model: str,
    config: Any,
    state: dict[str, Tensor],
    path: Path,
    unused: tuple[str, ...] = (),
    *,
    absent: tuple[str, ...] = (),
) -> nn.Module:
    """The network of a configuration with the weights of `state`, all of them, in float32.

    Args:
        unused: keys that may be in `state` or not, whatever the network has.
        absent: prefixes of the keys of parts that the file has not, and that stay random.
    """
    with LOADING, _quiet(), checkpoints.sized_by(state, path):
        try:
            network, report = known_class(model, str(path)).from_pretrained(
                None,
                config=config,
                state_dict=dict(state),
                dtype=torch.float32,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are in the report
            )
        except Exception as reason:  # sizes that contradict each other fail in any layer
            raise CheckpointError(f"{path} is refused: {one_line(reason)}") from reason
    report["missing_keys"] = [k for k in report["missing_keys"] if not k.startswith(absent)]
    kept = {k: v for k, v in network.state_dict().items() if not k.startswith(absent)}
    _check_report(type(network).__name__, kept, report, state=state, path=path, unused=unused)
    return network


def _check_report(
    name: str,
    tensors: dict[str, Tensor],
    report: dict[str, Any],
    *,
    state: dict[str, Tensor],
    path: Path,
    unused: tuple[str, ...],
) -> None:
    extra = {key for key in report["unexpected_keys"] if key not in unused}
    misshapen = [
        f"{key} {tuple(shape)} instead of {tuple(expected)}"
        for key, shape, expected in sorted(report["mismatched_keys"])
    ]
    mistyped = [
        f"{key} {tensor.dtype}, expected floating point"
        for key, tensor in sorted(state.items())
        if not tensor.is_floating_point()
        and (key not in tensors or tensors[key].is_floating_point())
    ]
    problems = [
        f"{len(names)} {kind}: {checkpoints.some(names)}"
        for kind, names in (
            ("missing", report["missing_keys"]),
            ("extra", extra),
            ("misshapen", misshapen),
            ("mistyped", mistyped),
            ("broken", report["error_msgs"]),
        )
        if names
    ]
    # Some classes do not report all keys that they ignore: then the numbers of keys differ.
    surplus = len(state.keys() - set(unused)) - len(tensors.keys() - set(unused))
    if surplus > 0 and not problems:
        problems = [f"{surplus} extra"]
    if problems:
        raise CheckpointError(
            f"{path} does not fit {name}: {'; '.join(problems)}; "
            "is it the checkpoint of another codec?"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Turns off progress bars and reports of transformers in the block; one thread at a time."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def padded(waveform: Tensor, hop_length: int) -> Tensor:
    """(B, C, L) padded with zeros at the end to a whole number of frames."""
    return F.pad(waveform, (0, -waveform.shape[-1] % hop_length))


def one_line(reason: BaseException) -> str:
    """The message of an exception in one line."""
    return " ".join((str(reason) or type(reason).__name__).split())[:300]


class WrappedScalar(Wrapped):
    """A wrapped codec with one implicit codebook between projections, as in X-Codec 2.

    Its encoder takes the waveform and spectral features. The feature extractor of transformers
    computes both, on the CPU and separately for each clip.
    """

    MERGEABLE = False

    @cached_property
    def fingerprint(self) -> str:
        """Hex sha256 of what makes the codebook: its levels and the projections around it."""
        quantizer = self.network.quantizer.quantizer
        digest = hashlib.sha256(str(quantizer.quantizer.quantization_levels).encode())
        for projection in (quantizer.project_in, quantizer.project_out):
            for tensor in (projection.weight, projection.bias):
                rows = tensor.detach().to("cpu", torch.float32).contiguous().numpy()
                digest.update(str(rows.shape).encode() + rows.astype("<f4").tobytes())
        return digest.hexdigest()

    def _prepare(self) -> None:
        self.network.quantizer = ScalarSearch(self.network.quantizer)

    def codewords(self, k: int) -> Tensor:
        if k:
            return self.codebook(k)
        return self.network.quantizer.quantizer.quantizer.codebook.detach().to("cpu").float()

    def _encode_latents(self, waveform: Tensor) -> Tensor:
        return super()._encode_latents(waveform).mT

    def _quantize(self, latents: Tensor) -> Tensor:
        return self.network.quantizer(latents.mT)[1].mT.long()

    def _dequantize(self, codes: Tensor) -> Tensor:
        return self.network.quantizer.from_codes(codes.mT).mT

    def _decode_latents(self, quantized: Tensor) -> Tensor:
        return self.network.decode(latents=quantized).audio_values

    def _features(self, waveform: Tensor) -> dict[str, Tensor]:
        """(B, 1, L) -> the arguments of the network's `encode`."""
        with no_autocast("cpu"):  # the extractor uses NumPy, which has no bfloat16
            features = self.extractor(
                list(waveform[:, 0].detach().cpu().numpy()),
                sampling_rate=self.card.sample_rate_in,
                return_tensors="pt",
            )
        features = {key: tensor.to(self.device) for key, tensor in features.items()}
        if torch.is_grad_enabled():  # only the waveform has a gradient, not the spectral features
            missing = features["input_values"].shape[-1] - waveform.shape[-1]
            features["input_values"] = F.pad(waveform, (0, missing))
        return features
