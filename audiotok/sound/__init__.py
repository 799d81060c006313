"""A waveform and the files it comes in."""
