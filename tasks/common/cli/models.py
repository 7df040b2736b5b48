"""Load the models that a command names: a run, further runs of an ensemble, and a run that reranks."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tasks.common.errors import UsageError
from tasks.common.hub.runs import find_run
from tasks.common.inference.loading import load_parts, with_reranker
from tasks.common.inference.predictor import Predictor
from tasks.common.task_group import ALONE


def load_predictor(task: str, run: Path, rerank: str | None, rerank_weight: float) -> Predictor:
    """Load the models of a command for a single task: see ``load_predictors``."""
    return load_predictors(task, run, rerank, rerank_weight)[ALONE]


def load_predictors(
    task: str,
    run: Path,
    rerank: str | None,
    rerank_weight: float,
    ensemble: Iterable[str] = (),
    only: str | None = None,
    **changes: Any,
) -> dict[str, Predictor]:
    """Load the models of a command, for each part of a run.

    Args:
        task: The name of the task.
        run: The run folder.
        rerank: The value of --rerank.
        rerank_weight: The value of --rerank-weight.
        ensemble: The values of --ensemble.
        only: The value of --task.
        **changes: Fields of the configuration to replace: see ``load_parts``.

    Raises:
        UsageError: if the models can't be loaded or used together, naming the flag.
    """
    if not 0 <= rerank_weight <= 1:
        raise UsageError(f"--rerank-weight is {rerank_weight}; allowed is 0 to 1")
    try:
        predictors = load_parts(task, [run, *map(find_run, ensemble)], only, **changes)
    except UsageError as error:
        if not ensemble or str(error).startswith(f"{run}{os.sep}"):
            raise
        raise UsageError(f"--ensemble: {error}") from error
    predictor = next(iter(predictors.values()))
    if ensemble and not all(model.decoder.supports_ensemble for model in predictor.models):
        raise UsageError(
            "--ensemble needs label-synchronous decoders (which predict token by token): decoder.kind recurrent, "
            "transformer or s2vt"
        )
    if rerank is None:
        return predictors
    if list(predictors) != [ALONE]:
        raise UsageError("--rerank needs a run of a single task; leave it out")
    try:
        predictor = with_reranker(predictor, task, rerank, rerank_weight)
    except UsageError as error:
        if str(error).startswith("--rerank"):
            raise
        raise UsageError(f"--rerank: {error}") from error
    assert predictor.reranker is not None
    if not predictor.reranker.model.decoder.is_label_synchronous:
        raise UsageError(
            f"--rerank {rerank} needs the likelihood of a sentence, so a label-synchronous decoder (one that predicts "
            "token by token): decoder.kind recurrent, transformer or s2vt"
        )
    return {ALONE: predictor}
