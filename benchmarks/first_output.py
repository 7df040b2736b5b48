"""The time from the start of a fresh process to the first sentence: our ``predict``, and a program of transformers."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import transformers
from candidates import MODALITIES, build_task, load_batches, save_run
from peers import PEERS, TransformersPeer

ROOT = Path(__file__).parents[1]


def save_model(modality: str, candidate: str, data: Path, folder: Path) -> bool:
    """Save one of our models or of transformers', all but untrained, into a folder.

    Returns:
        Whether the candidate can be saved; others have no program that is as short.
    """
    if candidate in MODALITIES[modality].configs:
        save_run(modality, candidate, data, folder)
        return True
    builder = PEERS[modality][candidate]
    task = build_task(modality, builder.model, data)
    load_batches(task)
    peer = builder.build(len(task.tokenizer), 0.0)
    if not isinstance(peer, TransformersPeer):
        return False
    peer.model.save_pretrained(folder)
    names = {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=task.tokenizer.tokenizer, **names).save_pretrained(folder)
    return True


def prediction_command(modality: str, candidate: str, data: Path, folder: Path, device: str) -> list[str]:
    """Return the command that generates a sentence for the first validation input of synthetic data."""
    length = str(MODALITIES[modality].output_length)
    source = first_input(data)
    if candidate in MODALITIES[modality].configs:
        program = [sys.executable, str(ROOT / "run.py"), MODALITIES[modality].task, "predict", str(folder), source]
        return [*program, "--beam", "5", "--min-length", length, "--max-length", length, "--device", device]
    model_class = next(iter(transformers.AutoConfig.from_pretrained(folder).architectures))
    script = str(Path(__file__).with_name("transformers_predict.py"))
    return [sys.executable, script, str(folder), model_class, source, "--length", length, "--device", device]


def first_input(data: Path) -> str:
    """Return the first sentence of a folder of texts, or the first file of one of media."""
    files = sorted((data / "validation").glob("0.*"))
    return str(files[0]) if files else (data / "val.en").read_text(encoding="utf-8").splitlines()[0]


def seconds_to_first_line(command: Sequence[str], threads: int) -> float:
    """Run a command, and return the seconds until the first line on its standard output."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        seconds = time.perf_counter() - start
        process.stdout.read()
    if process.returncode or not line:  # a model without training may write a sentence of special tokens alone
        sys.exit(f"no output: {' '.join(command)}")
    return seconds
