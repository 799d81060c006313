"""From a plan to a result: what `audiotok.bench` does, step by step."""
