"""A small recogniser of phones: Whisper's encoder and CTC, trained from nothing.

    audiotok train-asr asr-mini                # recipes/asr-mini.yaml

Its encoder is what `distillation.teacher` takes where no large recogniser can be had.
"""
