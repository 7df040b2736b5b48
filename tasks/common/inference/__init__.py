"""Prediction, evaluation and their output formats."""
