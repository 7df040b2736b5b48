"""The folder that a RUN names: one on this machine, or a run on the Hugging Face hub, which is downloaded.

A downloaded run is in the hub's own cache, HF_HOME, where nothing may be written. So what is written about it, its
evaluations, is in the folder ``runs`` of the working directory, under its name and commit.
"""

import itertools
from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

import tasks
from encoders.pretrained.downloads import HubName, did_you_mean, hub_advice, hub_fault, is_missing_path
from tasks.common.console import stage
from tasks.common.errors import UsageError
from tasks.common.files import load_json, refuse_linked_folders

MODEL_FILES = ("config.json", "vocabulary.json", "best.safetensors")
# What else commands read: the domain, and hypotheses to compare with. A part of a run has them in its own folder.
OTHER_FILES = ("domain.json", "*/domain.json", "evaluation/*.txt", "*/evaluation/*.txt")

RUNS = "runs"  # the folder of the runs of this machine, where no other is named
COMMIT_LENGTH = 7  # characters of a commit that names show
MAX_SIMILAR = 100  # models of an owner among which a similar name is looked for


def find_run(name: str | Path) -> Path:
    """Return the folder that a RUN names, after downloading it if it is OWNER/NAME or OWNER/NAME@REVISION of the hub.

    A folder that exists is meant before the hub is, and so is any name whose first part is a folder here or ``runs``:
    what is missing there is not looked for on the hub.

    Raises:
        UsageError: the hub can't be reached or has no such run, or a folder in it is a link.
    """
    found = HubName.parse(Path(name).as_posix())
    is_local = found is None or found.configuration or is_missing_path(found.repository)
    if found is None or is_local or found.owner == RUNS or Path(found.owner).is_dir():
        refuse_linked_folders(Path(name))
        return Path(name)
    return download(found)


def download(name: HubName) -> Path:
    """Download a run from the hub, or take it from the cache where the hub does not answer.

    Returns:
        Its folder in the cache.

    Raises:
        UsageError: see ``find_run``.
    """
    fault = hub_fault()
    server = huggingface_hub.constants.ENDPOINT
    huggingface_hub.utils.disable_progress_bars()
    try:
        with stage(f"downloading {name}"):
            patterns = [*MODEL_FILES, *OTHER_FILES]
            cached = huggingface_hub.snapshot_download(name.repository, revision=name.revision, allow_patterns=patterns)
    except GatedRepoError as error:
        raise UsageError(f"{name}: {server} asks for its owner's permission; request it on its page") from error
    except RepositoryNotFoundError as error:
        raise UsageError(
            f"{name} is neither a folder nor a model on {server}, or it is private{similar(name)}; log in with "
            "`hf auth login`, or set HF_TOKEN, if it is private"
        ) from error
    except RevisionNotFoundError as error:
        raise UsageError(
            f"{name.repository} has no revision {name.revision}: name a branch, a tag or a whole commit"
        ) from error
    except (HfHubHTTPError, LocalEntryNotFoundError) as error:
        if fault is None:
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise UsageError(f"{name} can't be downloaded from {server} ({reason}); try again") from error
        raise UsageError(f"{name}: {hub_advice(fault)}") from error
    folder = Path(cached)
    missing = [file for file in MODEL_FILES if not (folder / file).is_file()]
    if missing:
        raise UsageError(f"{name} on {server} is not a run of this project: it has no {missing[0]}; name another model")
    config = load_json(folder / "config.json")
    task = config.get("task") if isinstance(config, dict) else None
    if task not in [*tasks.TASKS]:  # it names a package to import
        raise UsageError(f"{name} is a run of {task!r}, which is no task here; allowed are {', '.join(tasks.TASKS)}")
    return folder


def similar(name: HubName) -> str:
    """Return the question for the most similar name of a model of the same owner; empty if there is none."""
    try:
        models = huggingface_hub.HfApi().list_models(author=name.owner, limit=MAX_SIMILAR)
        return did_you_mean(name.repository, [model.id for model in models])
    except Exception:  # the name is wrong, whatever keeps the hub from listing others
        return ""


def locate(folder: Path) -> tuple[str, str, Path] | None:
    """Return what a folder in the hub's cache is of, after the names that the hub's library gives to its folders.

    Returns:
        OWNER/NAME, the first characters of the commit, and the path in the run; None for any other folder.
    """
    parts = folder.parts
    for place, (cached, kind) in enumerate(itertools.pairwise(parts[:-1])):
        if cached.startswith("models--") and kind == "snapshots":
            repository = cached.removeprefix("models--").replace("--", "/", 1)
            return repository, parts[place + 2][:COMMIT_LENGTH], Path(*parts[place + 3 :])
    return None


def run_name(folder: Path) -> str:
    """Return the name of a run, or of a part of it, to be shown: the folder, or OWNER/NAME@COMMIT of the hub."""
    found = locate(folder)
    if found is None:
        return str(folder)
    repository, commit, inside = found
    return (Path(f"{repository}@{commit}") / inside).as_posix()


def reports_folder(folder: Path) -> Path:
    """Return the folder for what is written about a run, or a part of it: itself, or runs/OWNER--NAME@COMMIT."""
    found = locate(folder)
    if found is None:
        return folder
    repository, commit, inside = found
    return Path(RUNS, f"{repository.replace('/', '--')}@{commit}") / inside
