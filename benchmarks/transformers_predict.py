"""Generate a sentence for one input with a saved model of transformers: the shortest program that does it.

    python benchmarks/transformers_predict.py FOLDER MODEL_CLASS INPUT --length 12 --device cpu

It has no import of this project, and reads inputs as a user of the library would: a text, log-mel frames in a .npy
file, an image, or a video. The library has no pipelines of translation and captioning any longer (version 5).
"""

import argparse
from pathlib import Path

import torch
import transformers


def read_input(text_or_file: str, tokenizer: transformers.PreTrainedTokenizerBase) -> dict[str, torch.Tensor]:
    """Return the arguments of ``generate`` for a text or a file."""
    import numpy as np

    suffix = Path(text_or_file).suffix
    if suffix == ".npy":
        return {"input_features": torch.from_numpy(np.load(text_or_file))[None]}
    if suffix == ".png":
        from PIL import Image

        pixels = torch.from_numpy(np.asarray(Image.open(text_or_file).convert("RGB"))).permute(2, 0, 1)
        return {"pixel_values": pixels[None].float() / 127.5 - 1}
    if suffix == ".mp4":
        import av

        with av.open(text_or_file) as container:
            frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
        return {"pixel_values": torch.from_numpy(frames).permute(0, 3, 1, 2)[None].float() / 127.5 - 1}
    return dict(tokenizer(text_or_file, return_tensors="pt", return_token_type_ids=False))


def main() -> None:
    """Print the sentence."""
    parser = argparse.ArgumentParser(description="Generate a sentence with a saved model of transformers.")
    parser.add_argument("folder")
    parser.add_argument("model_class")
    parser.add_argument("input")
    parser.add_argument("--length", type=int, default=12)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    model = getattr(transformers, options.model_class).from_pretrained(options.folder).to(options.device)
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(options.folder)
    inputs = {name: values.to(options.device) for name, values in read_input(options.input, tokenizer).items()}
    limits = {"min_new_tokens": options.length, "max_new_tokens": options.length + 1}
    (tokens,) = model.eval().generate(**inputs, num_beams=5, do_sample=False, **limits)
    print(tokenizer.decode(tokens, skip_special_tokens=True), flush=True)


if __name__ == "__main__":
    main()
