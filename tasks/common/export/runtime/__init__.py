"""Files that are copied beside exported graphs. They need NumPy, ONNX Runtime and tokenizers, and nothing from here."""
