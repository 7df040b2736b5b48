"""Runs on the Hugging Face hub: their names, their model cards, downloads and uploads."""
