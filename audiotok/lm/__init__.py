"""Acoustic language models: the likelihood of codes, and their continuation. Plain PyTorch.

    model = PatternLM(PatternLMConfig(codebook_sizes=(1024,) * 8, pattern="delay"))
    nats = model(codes).nats                  # codes (B, K, T) -> (B, K, T), -ln p of each code
    codes = model.generate(codes, 50)         # 50 frames more

Every model returns the negative log-likelihood of each free code; their sum is that of the clip. So
models with any pattern, vocabulary and rate can be compared in bits per second.
"""

from audiotok.lm.base import LanguageModel, Scored
from audiotok.lm.pattern_lm import PatternLM, PatternLMConfig
from audiotok.lm.rq_lm import RQLM, RQLMConfig
from audiotok.lm.sampling import Sampling

__all__ = [
    "RQLM",
    "LanguageModel",
    "PatternLM",
    "PatternLMConfig",
    "RQLMConfig",
    "Sampling",
    "Scored",
]
