"""Speech language models of any size: recipes, contexts from shards of tokens, training.

    audiotok train-lm speech-lm --dry-run       # recipes/lm/speech-lm.yaml

The models are those of `audiotok.lm`; folders of runs and process groups are those of `training`.
"""
