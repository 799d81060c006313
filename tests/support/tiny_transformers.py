"""Tiny networks of transformers with the official rates and codebooks, written as it writes them.

Random codebooks of the official classes are zeros: here they are drawn from latents of a sound, so
that codes differ from frame to frame.
"""

from contextlib import contextmanager

import torch
import transformers

SEMANTIC = dict(
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=32,
    conv_dim=(8,) * 7,
    num_conv_pos_embeddings=16,
    num_conv_pos_embedding_groups=4,
)
ACOUSTIC = dict(
    encoder_hidden_size=2,
    decoder_hidden_size=32,
    hidden_size=16,
    downsampling_ratios=[8, 5, 4, 2],
    upsampling_ratios=[8, 5, 4, 2],
)
BERT = dict(
    model_type="wav2vec2-bert",
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=32,
    output_hidden_size=32,
)
SCALAR = dict(
    hidden_size=64,  # 32 groups of GroupNorm need two channels each
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=2,
    head_dim=32,
    encoder_hidden_size=2,
    quantization_dim=96,
    semantic_model_config=BERT,
)


def sound(seconds, sample_rate, seed=0):
    """(1, 1, L): harmonics of a gliding pitch, loud and soft by turns, with some noise."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(int(seconds * sample_rate)) / sample_rate
    phase, waveform = 0.0, 0.02 * torch.randn(len(time), generator=generator)
    for _ in range(3):
        rate, depth, start = torch.rand(3, generator=generator).tolist()
        pitch = 120 * (1 + start) * (1 + 0.3 * depth * torch.sin(6 * (0.5 + rate) * time))
        phase = phase + torch.cumsum(2 * torch.pi * pitch / sample_rate, 0)
        loudness = 0.5 + 0.5 * torch.sin(9 * (0.3 + rate) * time + 6 * start)
        waveform = waveform + 0.1 * loudness * torch.sin(phase) + 0.05 * torch.sin(3 * phase)
    return waveform[None, None]


def mimi(**changes):
    sizes = dict(
        num_filters=4,
        hidden_size=32,
        codebook_dim=24,
        vector_quantization_hidden_dimension=24,
        num_hidden_layers=2,
        intermediate_size=32,
        num_attention_heads=2,
        num_key_value_heads=2,
        upsample_groups=32,
        layer_scale_initial_scale=0.5,
    )
    model = transformers.MimiModel(transformers.MimiConfig(**{**sizes, **changes})).eval()
    with captured(model, "encode") as latents:
        model.encode(sound(40, model.config.sampling_rate))
    quantizer = model.quantizer
    for stack in (
        quantizer.semantic_residual_vector_quantizer,
        quantizer.acoustic_residual_vector_quantizer,
    ):
        residual = stack.input_proj(latents[0])
        for layer in stack.layers:
            codebook = layer.codebook
            vectors = drawn(residual, codebook.codebook_size)
            codebook.cluster_usage.uniform_(0.5, 3)
            codebook.embed_sum.copy_(vectors * codebook.cluster_usage[:, None])
            residual = residual - layer.decode(layer.encode(residual))
    return model


def xcodec(semantic="hubert", name="Xcodec", **changes):
    sizes = dict(
        acoustic_model_config={"model_type": "dac", **ACOUSTIC},
        semantic_model_config={"model_type": semantic, **SEMANTIC},
    )
    config = getattr(transformers, f"{name}Config")(**{**sizes, **changes})
    model = getattr(transformers, f"{name}Model")(config).eval()
    lively(model.acoustic_encoder)
    hop = config.hop_length
    with captured(model, "encode") as latents:
        length = 16 * config.sample_rate // hop * hop
        model.encode(sound(17, config.sample_rate)[..., :length])
    residual = latents[0]
    for layer in model.quantizer.quantizers:
        rows = layer.project_in(residual.mT).mT if hasattr(layer, "project_in") else residual
        layer.codebook.embed.copy_(drawn(rows, config.codebook_size))
        residual = residual - layer.decode(layer.encode(residual))
    return model


def higgs(**changes):
    ratios = [8, 5, 4, 2, 3]
    acoustic = {
        "model_type": "dac", **ACOUSTIC,
        "downsampling_ratios": ratios, "upsampling_ratios": ratios, "decoder_hidden_size": 64,
    }  # fmt: skip
    semantic = {"mask_time_prob": 0.0, "model_type": "hubert", **SEMANTIC}
    sizes = dict(
        acoustic_model_config=acoustic,
        semantic_model_config=semantic,
        target_bandwidths=[0.5, 1, 2],
        codebook_dim=8,
    )
    return xcodec(name="HiggsAudioV2Tokenizer", **{**sizes, **changes})


def dac(**changes):
    sizes = dict(encoder_hidden_size=2, decoder_hidden_size=32, downsampling_ratios=(2, 4, 5, 8))
    config = transformers.DacConfig(n_codebooks=4, **{**sizes, **changes})
    model = transformers.DacModel(config).eval()
    lively(model.encoder)
    hop = config.hop_length
    with captured(model, "forward") as latents:
        model.encode(sound(16, config.sampling_rate)[..., : 15 * config.sampling_rate // hop * hop])
    residual = latents[0]
    for layer in model.quantizer.quantizers:
        rows = layer.in_proj(residual)
        layer.codebook.weight.data.copy_(drawn(rows, config.codebook_size))
        residual = residual - layer(residual)[0]
    return model


def xcodec2(name="Xcodec2", **changes):
    config = getattr(transformers, f"{name}Config")(**{**SCALAR, **changes})
    model = getattr(transformers, f"{name}Model")(config).eval()
    lively(model.acoustic_encoder)
    extractor = getattr(transformers, f"{name}FeatureExtractor")()
    features = extractor(sound(16, 16_000)[0, 0].numpy(), sampling_rate=16_000, return_tensors="pt")
    with captured(model, "forward") as latents:
        model.encode(**features)
    projection = model.quantizer.project_in
    found = projection(latents[0]).flatten(0, 1)
    projection.weight.data.div_(found.std(0)[:, None] / 1.5)
    projection.bias.data.sub_(found.mean(0) / found.std(0) * 1.5)
    return model


def neucodec(**changes):
    return xcodec2("NeuCodec", **changes)


def lively(*encoders):
    """Convolutions of DAC start so small that a random network hardly hears its input."""
    for module in (module for encoder in encoders for module in encoder.modules()):
        if isinstance(module, torch.nn.Conv1d):
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="linear")


def drawn(latents, size):
    """Codebook (V, D) out of latents (B, D, T), each vector off: much is left to later ones."""
    rows = latents.transpose(1, 2).flatten(0, 1)
    chosen = rows[torch.randint(len(rows), (size,))]
    return chosen + 0.7 * rows.std(0) * torch.randn_like(chosen)


@contextmanager
def captured(model, method):
    """A list that gets what the model hands to a method of its quantizer, which then stops it."""
    found = []

    def take(latents, *_):
        found.append(latents)
        raise StopIteration

    setattr(model.quantizer, method, take)
    try:
        yield found
    except StopIteration:
        pass
    finally:
        delattr(model.quantizer, method)


def write(make, folder, **changes):
    """Writes a tiny network into `folder`; the same one each time."""
    state = torch.get_rng_state()
    torch.manual_seed(0)
    transformers.utils.logging.disable_progress_bar()
    with torch.no_grad():
        make(**changes).save_pretrained(folder)
    torch.set_rng_state(state)
    return folder
