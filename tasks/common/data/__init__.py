"""Tables, media, batches and caches."""

import os

# datasets reads these when it is imported. Progress has one form here (console.stage), and problems are errors.
os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("DATASETS_VERBOSITY", "error")
