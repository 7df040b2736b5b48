"""Tokenizers, normalization and words."""
