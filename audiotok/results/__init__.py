"""Numbers on disk, and what they mean."""
