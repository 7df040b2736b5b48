"""The command ``tune``: search for the best settings; the results of trials guide the next ones (Akiba et al. 2019)."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import tasks
from tasks.common.cli.messages import with_flags
from tasks.common.cli.preset_choice import Preset
from tasks.common.cli.search_space import SearchDimension
from tasks.common.cli.train import start_training
from tasks.common.cli.tune_options import parse_tune
from tasks.common.cli.variants import VariantParser, as_flags, to_csv, to_markdown
from tasks.common.config import ModelConfig
from tasks.common.console import console
from tasks.common.errors import UsageError
from tasks.common.files import load_json_lines, save_atomically
from tasks.common.task_group import as_group

if TYPE_CHECKING:
    import optuna


MAX_FAILED_TRIALS = 10  # without a single trial that could be trained


def tune(task: str, preset: Preset, parser: VariantParser, dimensions: list[SearchDimension]) -> None:
    """Run ``run.py TASK tune [PRESET] --space SETTING=LOW..HIGH``."""
    optuna = import_optuna()
    fitted = preset.fit(task, parser.parse()[0].config)
    if fitted is not preset:
        parser, dimensions = parse_tune(task, fitted)
    options, _ = parser.parse()
    folder = Path(options.run or f"runs/tune-{task}-{preset.name}")
    folder.mkdir(parents=True, exist_ok=True)
    metric = as_group(tasks.task_class(task)(options.config)).selection_metric
    study = optuna.create_study(
        study_name=f"{task} {preset.name}",
        storage=open_storage(options.storage or str(folder / "tune.journal")),
        direction="maximize" if metric.higher_is_better else "minimize",
        load_if_exists=True,
    )
    stored = study.user_attrs.get("space", list(options.space))
    if sorted(stored) != sorted(options.space):
        raise UsageError(f"{folder} holds a search over {' '.join(stored)}: continue that, or name another --run")
    study.set_user_attr("space", list(options.space))

    def objective(trial: "optuna.Trial") -> float:
        variant = tuple(each.suggest(trial) for each in dimensions)
        run = folder / f"trial-{trial.number}"
        try:
            variant_config = parser.parse(variant)[0].config
            console.print(f"trial {trial.number}: {' '.join(variant)}")
            start_training(task, variant_config, run, resume=False)
        except UsageError as error:  # sizes that do not go together; the next trial may be better
            message = with_flags(str(error), type(options.config), preset.flags)
            console.print(f"trial {trial.number}: {message}")
            raise optuna.TrialPruned from error
        return best_score(run, metric.name, metric.higher_is_better)

    while len(finished_trials(study)) < options.trials:
        num_failed = len(study.get_trials(states=[optuna.trial.TrialState.PRUNED]))
        if num_failed >= MAX_FAILED_TRIALS and not finished_trials(study):
            raise UsageError(f"none of {num_failed} trials could be trained, see above: change --space")
        # A new seed for each trial: otherwise a continued search would repeat its first samples.
        study.sampler = optuna.samplers.TPESampler(
            seed=1000 * options.sampler_seed + len(study.trials), multivariate=True
        )
        study.optimize(objective, n_trials=1)
    save_results(study, folder, metric.name, options.config)


def import_optuna() -> Any:
    """Import Optuna, which is an extra, and silence its logs."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def open_storage(place: str) -> Any:
    """Open a database by its address, or a journal file, which can also lie on a network file system."""
    if "://" in place:
        return place
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return JournalStorage(JournalFileBackend(place))


def finished_trials(study: "optuna.Study") -> list[Any]:
    return [trial for trial in study.trials if trial.state.name == "COMPLETE"]


def best_score(run: Path, metric: str, higher_is_better: bool) -> float:
    """Return the best validation score in the log of a run."""
    scores = [line["validation"][metric] for line in load_json_lines(run / "metrics.jsonl")]
    return max(scores) if higher_is_better else min(scores)


def save_results(study: "optuna.Study", folder: Path, metric: str, config: ModelConfig) -> None:
    """Save tune.md and tune.csv with the best trial first, and print the best flags."""
    reverse = study.direction.name == "MAXIMIZE"
    trials = sorted(finished_trials(study), key=lambda trial: trial.value, reverse=reverse)
    rows = [
        {"trial": str(trial.number), metric: f"{trial.value:.2f}"}
        | {name: f"{value:.4g}" if isinstance(value, float) else str(value) for name, value in trial.params.items()}
        for trial in trials
    ]
    save_atomically(folder / "tune.md", to_markdown(rows))
    save_atomically(folder / "tune.csv", to_csv(rows))
    print(to_markdown(rows), end="")
    best = " ".join(as_flags(tuple(f"{name}={value}" for name, value in trials[0].params.items()), config))
    console.print(f"best: {best} ({folder / f'trial-{trials[0].number}'}); {folder}: tune.md, tune.csv")
