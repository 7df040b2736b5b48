"""Load trained models from their run folders."""

import dataclasses
from pathlib import Path
from typing import Any

import tasks
from decoders.config import supports_mps
from tasks.common.config import ModelConfig
from tasks.common.device import find_device
from tasks.common.errors import UsageError
from tasks.common.files import load_json
from tasks.common.hub.runs import find_run, run_name
from tasks.common.inference.model_size import sized_like
from tasks.common.inference.predictor import Predictor
from tasks.common.inference.reranking import Reranker, is_reverse_of
from tasks.common.model import Model
from tasks.common.run_config import load_config
from tasks.common.task_group import ALONE, TaskGroup, as_group
from tasks.common.training.checkpoints import load_weights, read_weights


def load_runs(task: str, runs: list[Path], **changes: Any) -> Predictor:
    """Load a run of a single task, or several as an ensemble: see ``load_parts``."""
    return load_parts(task, runs, **changes)[ALONE]


def load_parts(task: str, runs: list[Path], only: str | None = None, **changes: Any) -> dict[str, Predictor]:
    """Load the parts of a run, or of several as an ensemble, on the device of the command.

    Args:
        task: The name of the task.
        runs: The run folders.
        only: The only part that is wanted (None: all of them).
        **changes: Fields of that part's configuration to replace: see ``ModelConfig.with_data``.

    Raises:
        UsageError: for missing or broken files, for runs with different vocabularies, and for an unknown part.
    """
    configs = [load_config(task, run) for run in runs]
    device = find_device(all(supports_mps(config.decoder) for config in configs))
    members: list[TaskGroup] = []
    models: list[Model] = []
    for run, config in zip(runs, configs, strict=True):
        config, state = config.with_data(only, **changes), load_json(run / "vocabulary.json")
        weights = run / "best.safetensors"
        check_model_size(task, config, run, weights)
        member, model = build_member(task, config, state, run)
        load_weights(model, read_weights(weights), weights)
        members.append(member)
        models.append(model.to(device).eval())
        if member.state_dict() != members[0].state_dict():
            raise UsageError(
                f"{run_name(run)} has another vocabulary than {run_name(runs[0])}: the runs of an ensemble must share "
                "one"
            )
    parts = {name: part for name, part in members[0].parts.items() if only in (None, name)}
    return {name: Predictor(part, [model.part(name) for model in models]) for name, part in parts.items()}


def check_model_size(task: str, config: ModelConfig, run: Path, weights: Path) -> None:
    """Check that a run, which may be a stranger's, describes no model far larger than a file of its weights.

    Raises:
        UsageError: see ``sized_like`` and ``build_member``.
    """
    with sized_like(weights):
        build_member(task, config, load_json(run / "vocabulary.json"), run)


def build_member(task: str, config: ModelConfig, state: Any, run: Path) -> tuple[TaskGroup, Model]:
    """Build the task of a run and its model, with random weights, from the files of the run folder.

    Args:
        task: The name of the task.
        config: Its configuration.
        state: The content of vocabulary.json.
        run: The run folder.

    Raises:
        UsageError: if they do not go together.
    """
    member = as_group(tasks.task_class(task)(config))
    try:
        member.load_state_dict(state)
    except UsageError as error:
        raise UsageError(f"{run / 'vocabulary.json'}: {error}") from error
    except Exception as error:  # tokenizers raises no more specific type
        raise UsageError(f"{run / 'vocabulary.json'} is not this task's; restore it or train again") from error
    for part in member.parts.values():
        if part.config.has_pretrained_encoder and getattr(part, "pretrained_config", None) is None:
            # It would be looked for by its name, which may be that of any model anywhere.
            raise UsageError(f"{run / 'vocabulary.json'} does not describe encoder.pretrained; restore it")
    try:
        return member, member.build_model()
    except UsageError:
        raise
    except Exception as error:  # torch and transformers raise all types for sizes that can't be
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UsageError(
            f"{run}: no model can be built from config.json and vocabulary.json ({reason}); restore them"
        ) from error


def with_reranker(predictor: Predictor, task: str, run: str, weight: float) -> Predictor:
    """Add the run of the opposite direction that reranks the hypotheses."""
    other = load_runs(task, [find_run(run)])
    if not is_reverse_of(other.task, predictor.task):
        raise UsageError(f"--rerank {run}: a run of the opposite direction is needed, on the same data")
    return dataclasses.replace(predictor, reranker=Reranker(other.task, other.models[0], weight))
