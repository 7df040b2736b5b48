"""Metrics as sums of sentence statistics."""
