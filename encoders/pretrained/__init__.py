"""Pretrained models as frontends of encoders, frozen or fine-tuned."""
