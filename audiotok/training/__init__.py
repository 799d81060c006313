"""Train codecs from recipes: `train(recipe, overrides)`; run again to resume a stopped run."""

from audiotok.training.dry_run import dry_run
from audiotok.training.reading import load_recipe
from audiotok.training.recipe import Recipe
from audiotok.training.trainer import train

__all__ = ["Recipe", "dry_run", "load_recipe", "train"]
