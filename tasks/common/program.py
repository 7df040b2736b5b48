"""The name by which the command line was called, for help texts and advice that can be pasted."""

import sys
from pathlib import Path


def program() -> str:
    """Return ``seq2seq`` if that command is running, which ``pip install`` makes, and else ``python run.py``."""
    return "seq2seq" if Path(sys.argv[0]).stem == "seq2seq" else "python run.py"
