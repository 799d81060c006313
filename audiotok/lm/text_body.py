"""A text language model as the transformer of a language model of codes: TWIST (Hassid et al. 2023,
arXiv 2305.13009).

Its blocks keep their pretrained weights; its token embeddings and head are dropped, and codes have
their own embeddings and heads.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from audiotok.errors import RecipeError
from audiotok.judges.pretrained import from_pretrained_options
from audiotok.lm.pattern_lm import PatternLM, PatternLMConfig
from audiotok.system.dependencies import need_transformers

if TYPE_CHECKING:
    from audiotok.lm.transformer import Cache


class TextBody(nn.Module):
    """A causal model of transformers, hidden (B, P, D) to hidden (B, P, D), without embeddings.

    Args:
        name: a folder, or a model of the Hugging Face Hub such as "Qwen/Qwen2.5-0.5B".
        weights: False: the architecture with random weights, which needs only its config.
    """

    def __init__(self, name: str, weights: bool = True):
        super().__init__()
        need_transformers("hf", "a language model of text")
        from transformers import AutoConfig, AutoModel

        try:
            options = from_pretrained_options(name, "language model")
            config = AutoConfig.from_pretrained(str(name), **options)
            if weights:
                self.model = AutoModel.from_pretrained(str(name), dtype=torch.float32, **options)
            else:
                self.model = AutoModel.from_config(config, trust_remote_code=False)
        except (OSError, ValueError, KeyError) as reason:
            text = " ".join(str(reason).split())[:200]
            where = "folder" if Path(name).is_dir() else "model"
            raise RecipeError(
                f"the {where} {name} is no language model of text: {text}"
            ) from reason
        self.width: int = config.hidden_size
        self.model.set_input_embeddings(nn.Identity())

    def forward(self, hidden: Tensor, cache: Cache | None = None) -> Tensor:
        """With a cache, `hidden` are the steps that follow those in the cache."""
        past = None if cache is None else cache.external.get("text")
        output = self.model(inputs_embeds=hidden, past_key_values=past, use_cache=cache is not None)
        if cache is not None:
            cache.external["text"] = output.past_key_values
        return output.last_hidden_state


def on_text(config: PatternLMConfig, name: str, weights: bool = True) -> PatternLM:
    """A PatternLM with the transformer of a text language model; `dimension`, `heads` and `layers`
    of the config are ignored, the text model has its own."""
    body = TextBody(name, weights)
    model = PatternLM(config.model_copy(update={"dimension": body.width, "layers": 1, "heads": 1}))
    model.transformer = body
    return model
