"""Speech from text: models that generate the codes of a codec."""
