"""What several tests share: small codecs, plain implementations, corpora and results."""
