"""One file per family of codecs; the registry finds each class that has CARDS by itself."""
