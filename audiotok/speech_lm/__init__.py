"""Speech language models at any size: recipes, contexts out of shards of tokens, training.

    audiotok train-lm speech-lm --dry-run       # recipes/lm/speech-lm.yaml

The models are those of `audiotok.lm`; the run's folder and its processes those of `training`.
"""
