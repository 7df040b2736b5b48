"""Searching over flags: trials are runs, and what they have shown guides the next one (Optuna, Akiba et al. 2019)."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

import tyro

import tasks
from tasks.common.cli.arguments import parse
from tasks.common.cli.commands import choose_preset, start
from tasks.common.cli.compare import as_flags, comma_separated, markdown
from tasks.common.config import Config
from tasks.common.console import console
from tasks.common.errors import UsageError
from tasks.common.training import checkpoints as checkpoint

if TYPE_CHECKING:
    import optuna

C = TypeVar("C", bound=Config)

HOPELESS = 10  # trials that could not be trained, and none that could
WIDE = 10  # a range whose end is so many times its start is searched by factors, not by differences


@dataclass(frozen=True)
class TuneOptions(Generic[C]):
    """Search over flags for the best validation score. Finished trials are kept; machines can share a search."""

    config: Annotated[C, tyro.conf.arg(name="")]
    search: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """FLAG=LOW..HIGH or FLAG=VALUE,VALUE,... once or more: train.lr=1e-4..1e-2, decoder.hidden=128,256."""
    trials: int = 20
    """How many finished trials the search should have, those counted that are there already."""
    storage: str | None = None
    """Where the search is kept: a file that all machines see, or the address of a database (default: a file in the
    folder of the runs)."""
    sampler_seed: int = 1
    """Of what is tried; machines that share a search need different ones."""
    run: str | None = None
    """Folder for the runs and the table (default: runs/tune-TASK-PRESET)."""


@dataclass(frozen=True)
class SearchDimension:
    """A flag and what it may be: one of some values, or anything from ``low`` to ``high``."""

    flag: str
    values: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    whole: bool = False

    @classmethod
    def of(cls, text: str) -> "SearchDimension":
        """Raises UsageError for what is no flag with its values."""
        flag, equals, values = text.partition("=")
        low, dots, high = values.partition("..")
        if not flag or not equals or not values or "=" in values:
            raise UsageError(f"--search {text}: expected is FLAG=LOW..HIGH or FLAG=VALUE,VALUE")
        if not dots:
            if not all(values.split(",")):
                raise UsageError(f"--search {text}: there is an empty value between the commas")
            return cls(flag, tuple(values.split(",")))
        try:
            ends = float(low), float(high)
        except ValueError as error:
            raise UsageError(f"--search {text}: the ends of a range are numbers") from error
        if not ends[0] < ends[1]:
            raise UsageError(f"--search {text}: a range goes from a number to a larger one")
        return cls(flag, (), *ends, whole=low.strip("-").isdecimal() and high.strip("-").isdecimal())

    def suggest(self, trial: "optuna.Trial") -> str:
        """FLAG=VALUE, as compare takes it."""
        if self.values:
            return f"{self.flag}={trial.suggest_categorical(self.flag, self.values)}"
        wide = self.low > 0 and self.high >= WIDE * self.low
        if self.whole:
            return f"{self.flag}={trial.suggest_int(self.flag, int(self.low), int(self.high), log=wide)}"
        return f"{self.flag}={trial.suggest_float(self.flag, self.low, self.high, log=wide)!r}"


def tune(task: str, arguments: list[str]) -> None:
    optuna = needed()
    preset, flags, config = choose_preset(task, arguments)
    program = f"run.py {task} tune {preset}"
    kind = TuneOptions[tasks.package(task).Config]
    options = parse(kind, flags, program, TuneOptions(config))
    if not options.search:
        raise UsageError("--search is missing: name a flag and what it may be, as in --search train.lr=1e-4..1e-2")
    axes = [SearchDimension.of(text) for text in options.search]
    for axis in axes:  # a flag that does not exist is told now, not after the first trial
        as_flags((f"{axis.flag}={axis.values[0] if axis.values else axis.low}",), options.config)
    folder = Path(options.run or f"runs/tune-{task}-{preset}")
    folder.mkdir(parents=True, exist_ok=True)
    metric = tasks.package(task).Task(options.config).selection_metric
    study = optuna.create_study(
        study_name=f"{task} {preset}",
        storage=storage_of(options.storage or str(folder / "tune.journal")),
        direction="maximize" if metric.higher_is_better else "minimize",
        load_if_exists=True,
    )
    kept = study.user_attrs.get("search", list(options.search))
    if sorted(kept) != sorted(options.search):
        raise UsageError(f"{folder} holds a search over {' '.join(kept)}: go on with that, or name another --run")
    study.set_user_attr("search", list(options.search))

    def objective(trial: "optuna.Trial") -> float:
        choice = tuple(axis.suggest(trial) for axis in axes)
        run = folder / f"trial-{trial.number}"
        try:
            varied = parse(kind, [*flags, *as_flags(choice, options.config)], program, TuneOptions(config)).config
            console.print(f"trial {trial.number}: {' '.join(choice)}", markup=False)
            start(task, varied, run, resume=False)
        except UsageError as error:  # sizes that do not go together; the next trial may be better
            console.print(f"trial {trial.number}: {error}", markup=False)
            raise optuna.TrialPruned from error
        return best_of(run, metric.name, metric.higher_is_better)

    while len(finished(study)) < options.trials:
        failed = len(study.get_trials(states=[optuna.trial.TrialState.PRUNED]))
        if failed >= HOPELESS and not finished(study):
            raise UsageError(f"none of {failed} trials could be trained, as said above: change --search")
        # Seeded anew for each trial: a search that goes on would else begin with the same draws again.
        study.sampler = optuna.samplers.TPESampler(
            seed=1000 * options.sampler_seed + len(study.trials), multivariate=True
        )
        study.optimize(objective, n_trials=1)
    report(study, folder, metric.name, options.config)


def needed() -> Any:
    """Optuna, which is an extra. Raises UsageError where it is not installed."""
    try:
        import optuna
    except ImportError as error:
        raise UsageError("tune needs Optuna: pip install -e '.[tune]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def storage_of(place: str) -> Any:
    """A database by its address, or a journal in a file, which also a network's file system can share."""
    if "://" in place:
        return place
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return JournalStorage(JournalFileBackend(place))


def finished(study: "optuna.Study") -> list[Any]:
    return [trial for trial in study.trials if trial.state.name == "COMPLETE"]


def best_of(run: Path, metric: str, higher_is_better: bool) -> float:
    """The best validation score in a run's log."""
    scores = [line["validation"][metric] for line in checkpoint.read_lines(run / "metrics.jsonl")]
    return max(scores) if higher_is_better else min(scores)


def report(study: "optuna.Study", folder: Path, metric: str, config: Config) -> None:
    """tune.md and tune.csv, the best trial first, and the best flags for a person."""
    reverse = study.direction.name == "MAXIMIZE"
    trials = sorted(finished(study), key=lambda trial: trial.value, reverse=reverse)
    rows = [
        {"trial": str(trial.number), metric: f"{trial.value:.2f}"}
        | {flag: f"{value:.4g}" if isinstance(value, float) else str(value) for flag, value in trial.params.items()}
        for trial in trials
    ]
    checkpoint.write(folder / "tune.md", markdown(rows))
    checkpoint.write(folder / "tune.csv", comma_separated(rows))
    print(markdown(rows), end="")
    best = " ".join(as_flags(tuple(f"{flag}={value}" for flag, value in trials[0].params.items()), config))
    console.print(f"best: {best} ({folder / f'trial-{trials[0].number}'}); {folder}: tune.md, tune.csv", markup=False)
