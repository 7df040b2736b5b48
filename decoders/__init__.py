"""Decoders: they generate a sentence from a Memory, by any search."""
