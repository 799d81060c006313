"""Building blocks of codecs: networks, quantizers, losses, with their shapes and papers."""
