"""Train codecs from recipes: `train(recipe, overrides)`; run again, it resumes."""

from audiotok.training.recipe import Recipe, load_recipe
from audiotok.training.trainer import train

__all__ = ["Recipe", "load_recipe", "train"]
