"""Where what was computed once is kept between runs: features of sound, spoken scenes, outputs of frozen encoders."""

import os
from pathlib import Path


def folder() -> Path:
    """The project's cache folder, made if need be: in $XDG_CACHE_HOME, or in ~/.cache. It may be removed any time."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    path = Path(home) / "multimodal-seq2seq"
    path.mkdir(parents=True, exist_ok=True)
    return path
