"""All readers that are fuzzed."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from fuzz_media_readers import audio, clips, features, pictures
from fuzz_reader import Reader
from fuzz_run_readers import answers, checkpoints, command_lines, config, values, vocabulary
from fuzz_runs import TASKS
from fuzz_table_readers import documents, metadata, parallel, tables

READERS: dict[str, Callable[[Path], Reader]] = {  # each makes its reader in an empty folder
    "tables": tables,
    "parallel": parallel,
    "metadata": metadata,
    "documents": documents,
    "audio": audio,
    "images": pictures,
    "videos": clips,
    "features": features,
    "values": values,
    "config": config,
    "vocabulary": vocabulary,
    "checkpoints": checkpoints,
    "command_lines": command_lines,
    **{f"answers_{task}": partial(answers, task) for task in TASKS},
}
