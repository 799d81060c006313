"""The sections of a recipe, except `model`, whose schema is that of its family."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from audiotok.system.names import MAX_LENGTH, Name

SOUND = (  # losses of a reconstruction against its reference
    "mel", "stft", "complex_stft", "multi_scale_mel", "log_mel", "mel_energy", "waveform_l1",
    "waveform_l2",
)  # fmt: skip
WINDOWED = ("mel", "stft", "complex_stft", "multi_scale_mel")  # of them, those that need mel_bands


RunName = Annotated[  # of a run's folder, and of what comes out of it
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=MAX_LENGTH)
]


Speed = Annotated[float, Field(ge=0.5, le=2)]


class Section(BaseModel):
    """Frozen; an unknown key is an error, and so is a number that is not finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class MixingConfig(Section):
    """Another crop is added to some, for robustness."""

    probability: float = Field(gt=0, le=1)  # of a crop to be mixed
    snr_db: tuple[float, float]  # the crop's power over that of the other, uniformly drawn


class RoomConfig(Section):
    """Some crops get the reverberation of a room of their own (`augmentation.room_response`)."""

    probability: float = Field(gt=0, le=1)  # of a crop to be reverberant
    seconds: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0, le=10)]] = (0.1, 0.5)
    # until the reverberation has decayed by 60 dB, uniformly drawn
    direct_db: tuple[float, float] = (0.0, 12.0)  # direct sound over reverberation, the same


class AdditionalConfig(Section):
    """Another corpus to train on; it takes no part in validation."""

    corpus: Name  # as in `data`
    share: float = Field(gt=0, lt=1)  # of the crops of each batch


class DataConfig(Section):
    """Which sound a codec learns from, and how it is cut."""

    corpus: Name  # a folder, a manifest, a name (`audiotok.data.load`), hf:NAME[:SPLIT]
    additional: tuple[AdditionalConfig, ...] = ()  # corpora; `corpus` has the rest of each batch
    clips: tuple[str, ...] | None = None  # ids in `corpus`; None: all. YAML may name a file of them
    validation: Name | None = None  # a corpus of its own; None: speakers held out from `corpus`
    validation_fraction: float = Field(default=0.1, gt=0, lt=1)  # of the speakers
    validation_clips: int = Field(default=100, gt=0)  # at most so many
    validation_seconds: float | None = Field(default=None, gt=0)  # at most so much of each
    validation_metrics: tuple[str, ...] = ()  # of `audiotok.metrics`, reported beside the losses
    crop_seconds: float = Field(gt=0, le=3600)
    batch_size: int = Field(gt=0)  # crops per process and pass
    workers: int = Field(default=1, ge=0)  # processes that read; 0: none, and no time-out
    timeout_seconds: float = Field(default=300, gt=0)  # a loader that takes longer has stalled
    gain_db: tuple[float, float] | None = None  # uniformly drawn for each crop
    peak_db: tuple[float, float] | None = None  # the same, but of the crop's peak
    speed: tuple[Speed, Speed] | None = None  # factor of speed and pitch, uniformly drawn
    room: RoomConfig | None = None
    mixing: MixingConfig | None = None

    @model_validator(mode="after")
    def _agree(self) -> DataConfig:
        if (total := sum(one.share for one in self.additional)) >= 1:
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
        for name, (low, high) in ((n, limits) for n, limits in ranges.items() if limits):
            if low > high:
                raise ValueError(f"{name} runs from {low} to {high}: give the lower one first")
        return self

    @property
    def corpora(self) -> tuple[str, ...]:
        """Names of `corpus` and the additional ones."""
        return self.corpus, *(one.corpus for one in self.additional)

    @property
    def shares(self) -> tuple[float, ...]:
        """Of each of `corpora`."""
        more = [one.share for one in self.additional]
        return 1 - sum(more), *more


class LossConfig(Section):
    """Weights of the losses, 0 for those left out; `audiotok.nn.losses` says what they are."""

    mel: float = Field(default=0, ge=0)  # multi-resolution, natural logarithm, averaged
    stft: float = Field(default=0, ge=0)  # magnitudes of a multi-resolution STFT
    complex_stft: float = Field(default=0, ge=0)  # its real and imaginary parts: phase counts
    stft_power: float = Field(default=1, gt=0, le=1)  # of magnitudes in complex_stft; below 1:
    # compressed, 0.3 weighs quiet parts like loud ones
    multi_scale_mel: float = Field(default=0, ge=0)  # DAC's, log10, summed
    mel_power: float = Field(default=1, gt=0)  # of multi_scale_mel inside the logarithm; LM-SPT: 2
    mel_linear: float = Field(default=0, ge=0)  # its L1 without a logarithm; LM-SPT: 1
    mel_bands: dict[int, int] = {}  # of these four: window in samples -> mel bands
    log_mel: float = Field(default=0, ge=0)  # WavTokenizer's, one resolution
    mel_energy: float = Field(default=0, ge=0)  # EnCodec's
    waveform_l1: float = Field(default=0, ge=0)
    waveform_l2: float = Field(default=0, ge=0)
    commitment: float = Field(default=0, ge=0)
    codebook: float = Field(default=0, ge=0)
    entropy: float = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _agree(self) -> LossConfig:
        windowed = [name for name in WINDOWED if getattr(self, name)]
        if windowed and not self.mel_bands:
            raise ValueError(f"{windowed[0]} needs mel_bands, such as {{512: 40, 1024: 80}}")
        if not any(getattr(self, name) for name in SOUND):
            raise ValueError(f"no loss compares sound with sound: give one of {', '.join(SOUND)}")
        return self


class BalancerConfig(Section):
    """EnCodec's balancer (arXiv 2210.13438, section 3.4): weights become shares of the gradient."""

    total_norm: float = Field(default=1.0, gt=0)
    decay: float = Field(default=0.999, ge=0, lt=1)


class DiscriminatorConfig(Section):
    """One discriminator and its part in the generator's loss."""

    kind: str
    settings: dict[str, Any] = {}  # what its class takes
    objective: Literal["hinge", "least_squares"] = "hinge"
    reduction: Literal["sum", "mean"] = "sum"  # over its sub-discriminators
    relative: bool = False  # feature matching relative to the features' size, as in EnCodec
    adversarial: float = Field(default=1.0, ge=0)  # weight in the generator's loss
    feature_matching: float = Field(default=1.0, ge=0)  # the same
    start_step: int = Field(default=0, ge=0)
    frozen: bool = False  # stays random, as one of WavTokenizer's did while it was trained


class OptimizerConfig(Section):
    """AdamW; the learning rate warms up linearly and then follows the schedule."""

    learning_rate: float = Field(gt=0)
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = Field(default=0.01, ge=0)
    schedule: Literal["cosine", "exponential", "constant"] = "cosine"
    warmup_steps: int = Field(default=0, ge=0)
    final: float = Field(default=0.0, ge=0, le=1)  # cosine: share of the rate left at the end
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
    """Codes are drawn again, as a language model errs, so that the decoder learns to stand it
    (RobusTok, Qiu et al. 2025, arXiv 2509.12474)."""

    rate: float = Field(gt=0, le=1)  # share of the codes of a clip that are drawn again
    clips: float = Field(default=0.5, gt=0, le=1)  # share of the clips of a batch with such codes
    kind: Literal["ngram", "neighbours"] = "ngram"  # what followed the code before in other clips,
    # or one of the codewords nearest to the code's own
    neighbours: int = Field(default=16, gt=0)  # how many of them
    memory: int = Field(default=16384, gt=0)  # codes of each codebook that ngram draws from


class QuantizerConfig(Section):
    """How codebooks start and learn; those that learn by gradients need the dropout alone."""

    start_step: int | None = Field(default=0, ge=0)  # before it, latents skip the quantizer; null:
    # they always do, and the weights are an autoencoder for another recipe to start from
    kmeans_latents: int | None = Field(default=None, gt=0)
    kmeans_iterations: int = Field(default=20, gt=0)
    decay: float = Field(default=0.99, gt=0, lt=1)  # of the moving averages
    dead_ratio: float = Field(default=0.05, ge=0, lt=1)  # of uniform usage, below: starts anew
    frozen: bool = False  # stays what k-means made of it
    new: bool = False  # with start_from: takes the place of the checkpoint's, and starts from none
    gradient: Literal["straight_through", "rotation"] = "straight_through"  # from the quantized
    # vectors to the latents: as it is, or turned as the vector is (the rotation trick)
    dropout: float = Field(default=0, ge=0, le=1)  # share of clips with a random number of books
    semantic_only: float = Field(default=0, ge=0, le=1)  # LM-SPT: share without acoustic ones
    errors: ErrorsConfig | None = None  # family decoder: of the codes that it learns from


class DistillationConfig(Section):
    """The semantic codebook learns what a speech encoder knows (SpeechTokenizer, Mimi, LM-SPT)."""

    teacher: Name  # an encoder of transformers: a name on the Hub, or a folder
    layer: int | Literal["average", "last"] = "average"  # hidden state; 0 enters the first layer
    objective: Literal["frame", "channel", "resynthesis"] = "frame"  # cosine of each frame, over
    # time, or squared error between features of the original and of sound from semantic codes alone
    weight: float = Field(gt=0)
    frames: Literal["valid", "padded"] = "valid"  # resynthesis: the mean is over those of the sound
    # or of all that Whisper pads it to; published LM-SPT has padded, and 5 times the weight
    floor: Literal["clip", "batch"] = "clip"  # of Whisper's spectrogram of that
    # sound; published LM-SPT: batch

    @model_validator(mode="after")
    def _agree(self) -> DistillationConfig:
        if self.objective != "resynthesis" and (self.frames, self.floor) != ("valid", "clip"):
            raise ValueError(
                f"frames {self.frames} and floor {self.floor} belong to the objective resynthesis, "
                f"not to {self.objective}"
            )
        return self


class StopConfig(Section):
    """When a run gives up."""

    usage_below: float = Field(default=0.02, ge=0, lt=1)  # share of a codebook in use
    for_steps: int = Field(default=2000, gt=0)  # ... within so many steps
