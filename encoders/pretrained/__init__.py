"""Pretrained encoders: frozen or fine-tuned front ends."""
