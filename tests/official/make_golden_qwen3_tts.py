"""Writes golden/qwen3_tts.safetensors: codes and sound of the package qwen-tts by seed.

    python tests/official/make_golden_qwen3_tts.py    # where qwen-tts and its transformers are

The codebooks are fitted to the latents, so that many codes occur; the file holds mean and spread.
"""

import datetime
import importlib.util
import json
import sys
import types
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).parents[1]))
from support import official_weights, tiny_qwen3_tts  # noqa: E402

FILE = Path(__file__).parent / "golden" / "qwen3_tts.safetensors"
SECONDS, FROM, SAMPLES = 9.8, 100_000, 4000  # after 10 s transformers 4.57 attends differently


def official():
    """Model and configuration of the 12 Hz tokenizer, without the rest of the package."""
    place = Path(importlib.util.find_spec("qwen_tts").origin).parent
    for name in ("qwen_tts", "qwen_tts.core", "qwen_tts.core.tokenizer_12hz"):
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = [str(place.joinpath(*name.split(".")[1:]))]
    from qwen_tts.core.tokenizer_12hz import configuration_qwen3_tts_tokenizer_v2 as configuration
    from qwen_tts.core.tokenizer_12hz import modeling_qwen3_tts_tokenizer_v2 as modeling

    config = configuration.Qwen3TTSTokenizerV2Config(
        encoder_config=tiny_qwen3_tts.ENCODER, decoder_config=tiny_qwen3_tts.DECODER
    )
    return modeling.Qwen3TTSTokenizerV2Model(config).eval()


@torch.no_grad()
def main():
    model, kept = official(), {}
    state = model.state_dict()
    shapes = {key: list(one.shape) for key, one in state.items()}
    state = {key: tiny_qwen3_tts.tensor(key, shape) for key, shape in shapes.items()}
    model.load_state_dict(state)
    waveform = official_weights.sound(24_000, SECONDS)
    found = []
    quantizer = model.encoder.quantizer
    plain = quantizer.encode
    quantizer.encode = lambda latents, *rest: found.append(latents) or plain(latents, *rest)
    model.encoder.encode(waveform)
    quantizer.encode = plain
    tables = []
    for k in range(16):
        stack = quantizer.acoustic_residual_vector_quantizer
        stack = stack if k else quantizer.semantic_residual_vector_quantizer
        if k < 2:
            residual = stack.input_proj(found[0])[0].T
        spread = torch.cov(residual.T.double()) + 1e-6 * torch.eye(residual.shape[1])
        root = torch.linalg.cholesky(spread).float()
        kept |= {f"mean {k}": residual.mean(0), f"root {k}": root}
        shape = (2048, residual.shape[1])
        tables.append(official_weights.codebook(f"qwen3 {k}", shape, residual.mean(0), root))
        residual = residual - tables[k][torch.cdist(residual, tables[k]).argmin(1)]
    model.load_state_dict(tiny_qwen3_tts.with_codebooks(state, tables))
    for layer in model.encoder.modules():  # codebooks are cached
        if hasattr(layer, "_embed"):
            layer._embed = None
    mask = torch.ones(waveform.shape[::2], dtype=torch.int64)
    codes = model.encode(waveform[:, 0], mask).audio_codes[0].T
    decoded = model.decoder(codes[None])
    print(tuple(codes.shape), [len(row.unique()) for row in codes], float(decoded.abs().max()))
    kept["codes"] = codes.to(torch.int16)
    kept["sound"] = decoded[0, 0, FROM : FROM + SAMPLES]
    about = {
        "package": "qwen-tts",
        "version": version("qwen-tts"),
        "transformers": version("transformers"),
        "torch": torch.__version__,
        "date": datetime.date.today().isoformat(),
        "seconds": str(SECONDS),
        "from": str(FROM),
        "peak": repr(float(decoded.abs().max())),
        "shapes": json.dumps(shapes),
    }
    save_file({key: one.contiguous().clone() for key, one in kept.items()}, FILE, about)


if __name__ == "__main__":
    main()
