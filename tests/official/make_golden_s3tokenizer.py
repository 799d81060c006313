"""Writes golden/s3tokenizer.safetensors: codes of the package s3tokenizer for weights and sound by
seed.

    python tests/official/make_golden_s3tokenizer.py    # where the package is installed

Beside the codes it holds the quantizers, which are fitted to the latents so that many codes occur.
"""

import datetime
import sys
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).parents[1]))
from support import official_weights, tiny_s3tokenizer  # noqa: E402

FILE = Path(__file__).parent / "golden" / "s3tokenizer.safetensors"
SECONDS = 8


@torch.no_grad()
def main():
    import s3tokenizer

    kept = {}
    waveform = official_weights.sound(16_000, SECONDS)[0, 0]
    mel = s3tokenizer.log_mel_spectrogram(waveform)
    length = torch.tensor([mel.shape[1]])
    for name in ("v1", "v1-25hz", "v2", "v3"):
        number = int(name[1])
        model = tiny_s3tokenizer.official(name)
        state = tiny_s3tokenizer.state(number)
        model.load_state_dict(state, strict=False)
        rows = model.encoder(mel[None], length)[0][0]
        if number == 1:
            rows = torch.nn.functional.normalize(rows, dim=-1)
            spread = torch.cov(rows.T) + 1e-6 * torch.eye(rows.shape[1])
            fitted = {"mean": rows.mean(0), "root": torch.linalg.cholesky(spread)}
        else:
            fitted = {"weight": official_weights.weight(f"project {name}", (8, rows.shape[1]))}
            found = rows @ fitted["weight"].T
            fitted["weight"] = fitted["weight"] / found.std(0)[:, None]
            fitted["bias"] = -found.mean(0) / found.std(0)
        fitted = {f"{name} {key}": tensor.contiguous() for key, tensor in fitted.items()}
        kept |= fitted
        state |= tiny_s3tokenizer.quantizer(name, fitted)
        model.load_state_dict(state)
        codes = model.quantize(mel[None], length)[0][0]
        kept[f"{name} codes"] = codes.to(torch.int16)
        print(name, len(codes), "codes,", codes.unique().numel(), "distinct")
    about = {
        "package": "s3tokenizer",
        "version": version("s3tokenizer"),
        "torch": torch.__version__,
        "date": datetime.date.today().isoformat(),
        "seconds": str(SECONDS),
    }
    save_file(kept, FILE, about)


if __name__ == "__main__":
    main()
