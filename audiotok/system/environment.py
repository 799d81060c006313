"""The environment variables that audiotok reads and their meaning, as docs/environment.md shows."""

VARIABLES = {
    "AUDIOTOK_HOME": "folder of weights that you put on this machine by hand, and of the cache; "
    "default `~/.cache/audiotok`",
    "AUDIOTOK_CACHE": "folder of the cache of `bench`; default `$AUDIOTOK_HOME/bench`",
    "AUDIOTOK_CACHE_BYTES": "largest size of this cache, in bytes; default 10000000000 (10 GB); "
    "0 stores nothing",
    "AUDIOTOK_DATA": "folder of downloaded corpora; default `$XDG_CACHE_HOME/audiotok`, or "
    "`~/.cache/audiotok`",
    "AUDIOTOK_AUDIO_ROOTS": "folders, separated by `:`, in which absolute paths of a manifest may "
    "be, besides the folder of the manifest",
    "AUDIOTOK_FOLLOW_LINKS": "1: follow symbolic links of a manifest that lead out of these "
    "folders",
    "AUDIOTOK_ALLOW_TRUNCATED": "1: read truncated sound files as far as they go, as "
    "`--allow-truncated`",
    "AUDIOTOK_DEVICE": "the device that `auto` takes, such as `cpu` or `cuda:1`; default: a GPU if "
    "there is one",
    "AUDIOTOK_KERNELS": "implementation of the codebook search: `compiled`, `torch`, `triton` or "
    "`reference`; default: the fastest for the device. All give the same codes",
    "AUDIOTOK_ISA": "instruction set of the compiled search: `scalar`, `avx2`, `avx512` or `neon`; "
    "default: the best of the machine. All give the same codes",
}
