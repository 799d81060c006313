"""The sections of a recipe, except `model`, whose schema is that of its family."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from audiotok.system.names import MAX_LENGTH, Name

SOUND = (  # losses of a reconstruction against its reference
    "mel", "stft", "complex_stft", "multi_scale_mel", "log_mel", "mel_energy", "waveform_l1",
    "waveform_l2",
)  # fmt: skip
WINDOWED = ("mel", "stft", "complex_stft", "multi_scale_mel")  # losses that need mel_bands


RunName = Annotated[  # of the folder of a run, and of the trained codec
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=MAX_LENGTH)
]


Speed = Annotated[float, Field(ge=0.5, le=2)]


class Section(BaseModel):
    """A frozen section; unknown keys and numbers that are not finite are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class MixingConfig(Section):
    """Mixing: another crop is added to some crops, for robustness."""

    probability: float = Field(gt=0, le=1)  # of a crop to be mixed
    snr_db: tuple[float, float]  # power of the crop relative to the other; drawn uniformly


class RoomConfig(Section):
    """Reverberation: some crops are convolved with a random room (`augmentation.room_response`)."""

    probability: float = Field(gt=0, le=1)  # of a crop to be reverberant
    seconds: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0, le=10)]] = (0.1, 0.5)
    # until the reverberation has decayed by 60 dB, drawn uniformly
    direct_db: tuple[float, float] = (0.0, 12.0)  # direct-to-reverberant ratio, drawn uniformly


class AdditionalConfig(Section):
    """Another corpus to train on; it is not used in validation."""

    corpus: Name  # as in `data`
    share: float = Field(gt=0, lt=1)  # of the crops of each batch


class DataConfig(Section):
    """Corpora to train and validate on, and how they are cropped and augmented."""

    corpus: Name  # a folder, a manifest, a name (`audiotok.data.load`), hf:NAME[:SPLIT]
    additional: tuple[AdditionalConfig, ...] = ()  # `corpus` has the remaining share of each batch
    clips: tuple[str, ...] | None = None  # ids in `corpus`; None: all. YAML may name a file of them
    validation: Name | None = None  # a separate corpus; None: speakers held out from `corpus`
    validation_fraction: float = Field(default=0.1, gt=0, lt=1)  # of the speakers
    validation_clips: int = Field(default=100, gt=0)  # at most
    validation_seconds: float | None = Field(default=None, gt=0)  # of each, at most
    validation_metrics: tuple[str, ...] = ()  # names of `audiotok.metrics`, logged with the losses
    crop_seconds: float = Field(gt=0, le=3600)
    batch_size: int = Field(gt=0)  # crops per process and pass
    workers: int = Field(default=1, ge=0)  # processes that read; 0: none, and no time-out
    timeout_seconds: float = Field(default=300, gt=0)  # for a batch; then the run fails
    gain_db: tuple[float, float] | None = None  # drawn uniformly for each crop
    peak_db: tuple[float, float] | None = None  # peak of each crop, drawn uniformly
    speed: tuple[Speed, Speed] | None = None  # factor of speed and pitch, drawn uniformly
    room: RoomConfig | None = None
    mixing: MixingConfig | None = None

    @model_validator(mode="after")
    def _agree(self) -> DataConfig:
        if (total := sum(corpus.share for corpus in self.additional)) >= 1:
            raise ValueError(
                f"the shares of data.additional add up to {total:g}: expected less than 1, "
                "data.corpus has the rest"
            )
        if self.gain_db is not None and self.peak_db is not None:
            raise ValueError("gain_db and peak_db both set the level: give one of them")
        ranges = {name: getattr(self, name) for name in ("gain_db", "peak_db", "speed")}
        if self.room is not None:
            ranges |= {
                f"room.{name}": getattr(self.room, name) for name in ("seconds", "direct_db")
            }
        if self.mixing is not None:
            ranges["mixing.snr_db"] = self.mixing.snr_db
        for name, (low, high) in ((name, limits) for name, limits in ranges.items() if limits):
            if low > high:
                raise ValueError(f"{name} runs from {low} to {high}: give the lower one first")
        return self

    @property
    def corpora(self) -> tuple[str, ...]:
        """Names of `corpus` and the additional ones."""
        return self.corpus, *(additional.corpus for additional in self.additional)

    @property
    def shares(self) -> tuple[float, ...]:
        """The share of each of `corpora`."""
        shares = [additional.share for additional in self.additional]
        return 1 - sum(shares), *shares


class LossConfig(Section):
    """Weights of the losses, 0 for unused ones; they are described in `audiotok.nn.losses`."""

    mel: float = Field(default=0, ge=0)  # multi-resolution, natural logarithm, averaged
    stft: float = Field(default=0, ge=0)  # magnitudes of a multi-resolution STFT
    complex_stft: float = Field(default=0, ge=0)  # real and imaginary parts, so phase matters
    stft_power: float = Field(default=1, gt=0, le=1)  # exponent of magnitudes in complex_stft; with
    # 0.3 quiet parts have about the weight of loud ones
    multi_scale_mel: float = Field(default=0, ge=0)  # of DAC, log10, summed
    mel_power: float = Field(default=1, gt=0)  # exponent in multi_scale_mel; LM-SPT: 2
    mel_linear: float = Field(default=0, ge=0)  # weight of its L1 without logarithm; LM-SPT: 1
    mel_bands: dict[int, int] = {}  # of WINDOWED: window in samples -> mel bands
    log_mel: float = Field(default=0, ge=0)  # of WavTokenizer, one resolution
    mel_energy: float = Field(default=0, ge=0)  # of EnCodec
    waveform_l1: float = Field(default=0, ge=0)
    waveform_l2: float = Field(default=0, ge=0)
    commitment: float = Field(default=0, ge=0)
    codebook: float = Field(default=0, ge=0)
    entropy: float = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _agree(self) -> LossConfig:
        needs_bands = [name for name in WINDOWED if getattr(self, name)]
        if needs_bands and not self.mel_bands:
            raise ValueError(f"{needs_bands[0]} needs mel_bands, such as {{512: 40, 1024: 80}}")
        if not any(getattr(self, name) for name in SOUND):
            raise ValueError(f"no loss compares sound with sound: give one of {', '.join(SOUND)}")
        return self


class BalancerConfig(Section):
    """EnCodec's balancer (arXiv 2210.13438, section 3.4): weights become shares of the gradient."""

    total_norm: float = Field(default=1.0, gt=0)
    decay: float = Field(default=0.999, ge=0, lt=1)


class DiscriminatorConfig(Section):
    """One discriminator, and its weights in the loss of the generator."""

    kind: str
    settings: dict[str, Any] = {}  # arguments of its class
    objective: Literal["hinge", "least_squares"] = "hinge"
    reduction: Literal["sum", "mean"] = "sum"  # over its sub-discriminators
    relative: bool = False  # feature matching relative to the size of the features, as in EnCodec
    adversarial: float = Field(default=1.0, ge=0)  # weight in the generator's loss
    feature_matching: float = Field(default=1.0, ge=0)  # weight in the generator's loss
    start_step: int = Field(default=0, ge=0)
    frozen: bool = False  # is not trained, like one discriminator of WavTokenizer


class OptimizerConfig(Section):
    """AdamW; the learning rate warms up linearly and then follows the schedule."""

    learning_rate: float = Field(gt=0)
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = Field(default=0.01, ge=0)
    schedule: Literal["cosine", "exponential", "constant"] = "cosine"
    warmup_steps: int = Field(default=0, ge=0)
    final: float = Field(default=0.0, ge=0, le=1)  # cosine: last learning rate, as a share
    decay: float | None = Field(default=None, gt=0, le=1)  # exponential: factor per step
    clip_norm: float | None = Field(default=None, gt=0)  # of the gradient

    @model_validator(mode="after")
    def _agree(self) -> OptimizerConfig:
        if (self.schedule == "exponential") != (self.decay is not None):
            raise ValueError(
                f"schedule {self.schedule} and decay {self.decay} do not fit: "
                "decay belongs to the exponential schedule, which needs it"
            )
        if self.final and self.schedule != "cosine":
            raise ValueError(f"final belongs to the cosine schedule, not to {self.schedule}")
        return self


class ErrorsConfig(Section):
    """Errors in codes, like those of a language model, against which the decoder becomes robust
    (RobusTok, Qiu et al. 2025, arXiv 2509.12474)."""

    rate: float = Field(gt=0, le=1)  # share of the codes of a clip that are replaced
    clips: float = Field(default=0.5, gt=0, le=1)  # share of the clips of a batch with such codes
    kind: Literal["ngram", "neighbours"] = "ngram"  # new code: one that followed the previous code
    # in other clips, or one of the nearest codewords
    neighbours: int = Field(default=16, gt=0)  # number of nearest codewords
    memory: int = Field(default=16384, gt=0)  # codes of each codebook that ngram draws from


class QuantizerConfig(Section):
    """How codebooks start and learn; those that learn by gradients use only `dropout`."""

    # Before this step, latents bypass the quantizer; null: always, and the weights are an
    # autoencoder, from which another recipe can start.
    start_step: int | None = Field(default=0, ge=0)
    kmeans_latents: int | None = Field(default=None, gt=0)
    kmeans_iterations: int = Field(default=20, gt=0)
    decay: float = Field(default=0.99, gt=0, lt=1)  # of the moving averages
    # Codes that are used less than this share of uniform usage start again.
    dead_ratio: float = Field(default=0.05, ge=0, lt=1)
    frozen: bool = False  # codebooks do not change after k-means
    new: bool = False  # with start_from: a new quantizer replaces that of the checkpoint
    gradient: Literal["straight_through", "rotation"] = "straight_through"  # of the latents:
    # that of the quantized vectors, or rotated from these to the latents (the rotation trick)
    # Share of clips with a random number of codebooks.
    dropout: float = Field(default=0, ge=0, le=1)
    # LM-SPT: share of clips without acoustic codebooks.
    semantic_only: float = Field(default=0, ge=0, le=1)
    errors: ErrorsConfig | None = None  # family decoder: errors in the codes that it decodes


class DistillationConfig(Section):
    """The semantic codebook learns from a speech encoder (SpeechTokenizer, Mimi, LM-SPT)."""

    teacher: Name  # an encoder of transformers: a name on the Hub, or a folder
    layer: int | Literal["average", "last"] = "average"  # hidden state; 0: input of the first layer
    objective: Literal["frame", "channel", "resynthesis"] = "frame"  # cosine distance over
    # channels or over time; or squared error to features of sound from semantic codes alone
    weight: float = Field(gt=0)
    frames: Literal["valid", "padded"] = "valid"  # resynthesis: mean over the frames of the
    # sound, or also over the padding of Whisper; published LM-SPT: padded, and 5 times the weight
    floor: Literal["clip", "batch"] = "clip"  # resynthesis: maximum to which the floor of Whisper's
    # spectrogram is relative; published LM-SPT: batch

    @model_validator(mode="after")
    def _agree(self) -> DistillationConfig:
        if self.objective != "resynthesis" and (self.frames, self.floor) != ("valid", "clip"):
            raise ValueError(
                f"frames {self.frames} and floor {self.floor} belong to the objective resynthesis, "
                f"not to {self.objective}"
            )
        return self


class StopConfig(Section):
    """When a run fails because a codebook collapsed."""

    usage_below: float = Field(default=0.02, ge=0, lt=1)  # share of the codes of a codebook in use
    for_steps: int = Field(default=2000, gt=0)  # number of steps in which codes count as in use
