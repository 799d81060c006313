"""A small phone recogniser: Whisper's encoder and CTC, trained from random weights.

    audiotok train-asr asr-mini                # recipes/asr-mini.yaml

Its encoder can be the `distillation.teacher` of a codec, if no large recogniser is available.
"""
