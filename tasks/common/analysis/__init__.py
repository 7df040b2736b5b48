"""Plots and measurements."""
