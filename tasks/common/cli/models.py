"""Load the models that a command names: a run, further runs of an ensemble, and a run that reranks."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tasks.common.errors import UsageError
from tasks.common.inference.loading import load_runs, with_reranker
from tasks.common.inference.predictor import Predictor


def load_predictor(
    task: str, run: Path, rerank: str | None, rerank_weight: float, ensemble: Iterable[str] = (), **changes: Any
) -> Predictor:
    """Load the models of a command.

    Args:
        task: The name of the task.
        run: The run folder.
        rerank: The value of --rerank.
        rerank_weight: The value of --rerank-weight.
        ensemble: The values of --ensemble.
        **changes: Fields of the configuration to replace: see ``load_runs``.

    Raises:
        UsageError: if the models can't be loaded or used together, naming the flag.
    """
    if not 0 <= rerank_weight <= 1:
        raise UsageError(f"--rerank-weight is {rerank_weight}; allowed is 0 to 1")
    try:
        predictor = load_runs(task, [run, *map(Path, ensemble)], **changes)
    except UsageError as error:
        if not ensemble or str(error).startswith(f"{run}{os.sep}"):
            raise
        raise UsageError(f"--ensemble: {error}") from error
    if ensemble and not all(model.decoder.supports_ensemble for model in predictor.models):
        raise UsageError(
            "--ensemble needs label-synchronous decoders (which predict token by token): decoder.kind recurrent, "
            "transformer or s2vt"
        )
    try:
        predictor = with_reranker(predictor, task, rerank, rerank_weight)
    except UsageError as error:
        if str(error).startswith("--rerank"):
            raise
        raise UsageError(f"--rerank: {error}") from error
    if predictor.reranker is not None and not predictor.reranker.model.decoder.is_label_synchronous:
        raise UsageError(
            f"--rerank {rerank} needs the likelihood of a sentence, so a label-synchronous decoder (one that predicts "
            "token by token): decoder.kind recurrent, transformer or s2vt"
        )
    return predictor
