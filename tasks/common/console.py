"""The console for progress and notes: it writes to standard error, since standard output is for results alone."""

from rich.console import Console

console = Console(stderr=True, highlight=False, soft_wrap=True)
