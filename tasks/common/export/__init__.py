"""Trained runs as ONNX graphs, with the files that run them without PyTorch."""
