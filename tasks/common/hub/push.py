"""The upload of a run to the Hugging Face hub: all of its files in one commit, or none."""

import contextlib
import fnmatch
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError

from encoders.pretrained.downloads import HubName, hub_fault
from tasks.common.console import console, stage
from tasks.common.errors import UsageError, causes
from tasks.common.files import load_json, to_json
from tasks.common.hub.card import find_reports, make_card, make_example, without_folder
from tasks.common.hub.runs import MODEL_FILES, OTHER_FILES
from tasks.common.inference.loading import load_parts
from tasks.common.inference.trained_model import TrainedModel
from tasks.common.run_config import task_of
from tasks.common.task_group import part_folder

PLOT = "plots/attention.png"
REPORTS = ("evaluation/*.json", "evaluation/*.png")
REPORTS += tuple(f"*/{pattern}" for pattern in REPORTS)
OWN_FILES = (*MODEL_FILES, *OTHER_FILES, *REPORTS, PLOT, f"*/{PLOT}")  # what a later upload replaces or deletes
MAX_REASON = 200  # characters of an error of the hub
HUB_FILES = ("README.md", ".gitattributes", "LICENSE*")  # what a repository may have before the first upload


def push_run(run: Path, repository: str, *, private: bool, license: str | None) -> str:
    """Upload a run with a model card; a run that is there already is replaced, and stays in the history.

    Args:
        run: The run folder.
        repository: OWNER/NAME.
        private: Make the repository private, so that only its owner sees it.
        license: The license of the weights, by the hub's identifier.

    Returns:
        The address of the repository.

    Raises:
        UsageError: the run is not complete, or the hub can't be reached or refuses the upload.
    """
    task = task_of(run)
    api = connect(repository)
    model = TrainedModel.from_run(run, load_parts(task, [run]))
    with tempfile.TemporaryDirectory() as place:
        files = collect_files(run) | make_card_files(run, repository, model, license, Path(place))
        operations = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=each) for name, each in files.items()]
        with explain_faults(repository):
            address = api.create_repo(repository, private=private, exist_ok=True).url
            present = api.list_repo_files(repository)
            check_repository(api, repository, present, private)
            old = [name for name in present if is_own(name) and name not in files]
            deletions = [CommitOperationDelete(path_in_repo=name) for name in old]
            with stage(f"uploading {len(files)} files"):
                api.create_commit(repository, [*operations, *deletions], commit_message="Upload a trained run")
    return str(address)


def connect(repository: str) -> HfApi:
    """Check the name of a repository, that the hub answers and that it accepts the token.

    Raises:
        UsageError: one of these is not so.
    """
    if (name := HubName.parse(repository)) is None or repository != name.repository:
        raise UsageError(f"{repository!r} is no name of the hub; allowed is OWNER/NAME, of letters, digits, - _ and .")
    fault = hub_fault()
    if fault:
        raise UsageError(f"{fault}; nothing was uploaded")
    huggingface_hub.utils.disable_progress_bars()
    api = HfApi(library_name="multimodal-seq2seq")
    if huggingface_hub.get_token() is None:
        raise UsageError("there is no token of the hub: log in with `hf auth login`, or set HF_TOKEN")
    with explain_faults(repository):
        api.whoami()
    return api


def check_repository(api: HfApi, repository: str, names: Sequence[str], private: bool) -> None:
    """Raise UsageError if a repository, of files with these names, holds something else, or is not as private."""
    if private and not api.model_info(repository).private:
        raise UsageError(
            f"{repository} is public already: make it private in its settings on the hub, or leave --private out"
        )
    others = [name for name in names if not any(fnmatch.fnmatch(name, pattern) for pattern in HUB_FILES)]
    if others and "vocabulary.json" not in others:
        raise UsageError(f"{repository} holds another model ({others[0]}): choose another name")


def is_own(name: str) -> bool:
    """Tell whether a file of a repository was made by an upload of a run."""
    return any(fnmatch.fnmatch(name, pattern) for pattern in OWN_FILES)


def collect_files(run: Path) -> dict[str, Path | bytes]:
    """Collect the files of a run that are published.

    The training's state and the tables of all examples are not among them, nor are the examples of the reports and the
    paths of this machine: the data may be private, or somebody else's.

    Returns:
        The file, or its changed content, by its name in the repository.
    """
    found = [file for pattern in (*MODEL_FILES, *OTHER_FILES, *REPORTS) for file in sorted(run.glob(pattern))]
    files: dict[str, Path | bytes] = {}
    for file in found:
        name = file.relative_to(run).as_posix()
        if name == "config.json" or fnmatch.fnmatch(name, "*evaluation/*.json"):
            kept = {key: value for key, value in load_json(file).items() if key != "selected"}
            files[name] = (to_json(without_folders(kept), indent=2) + "\n").encode()
        elif not name.endswith(".listing.txt"):  # it has the references
            files[name] = file
    return files


def without_folders(value: Any) -> Any:
    """Replace the absolute paths in a JSON value by their last parts."""
    if isinstance(value, dict):
        return {key: without_folders(each) for key, each in value.items()}
    if isinstance(value, list):
        return [without_folders(each) for each in value]
    return without_folder(value) if isinstance(value, str) else value


def make_card_files(
    run: Path, repository: str, model: TrainedModel, license: str | None, folder: Path
) -> dict[str, Path | bytes]:
    """Make the model card and the plots that it shows, in a folder; and say what it lacks."""
    examples = {}
    for name, predictor in model.predictors.items():
        reports = find_reports(part_folder(run, name), predictor.task)
        of_part = f"{name}: " if name else ""
        if not reports:
            console.print(f"{of_part}the card has no scores, since the run was not evaluated")
        own = {"split": "test", "data": predictor.task.config.data}
        test = next((report for report in reports if own.items() <= report.items()), None)
        example = make_example(predictor, test, folder, f"{name}/{PLOT}" if name else PLOT)
        if example is None:
            console.print(f"{of_part}the card has no example, since the data of the run can't be read")
        else:
            examples[name] = example
    card = make_card(repository, run, model, license, examples)
    plots = {each.plot: folder / each.plot for each in examples.values() if each.plot}
    return {"README.md": str(card).encode(), **plots}


@contextlib.contextmanager
def explain_faults(repository: str) -> Iterator[None]:
    """Turn what the hub refuses, or a connection that breaks, into a UsageError of one line."""
    try:
        yield
    except UsageError:
        raise
    except Exception as error:  # the hub's library, its HTTP client and its threads each raise their own
        chain = causes(error)
        refused = next((each for each in chain if isinstance(each, HfHubHTTPError)), None)
        status = None if refused is None or refused.response is None else refused.response.status_code
        if status == 401:
            raise UsageError(
                "the hub does not accept the token: log in with `hf auth login`, or set HF_TOKEN"
            ) from error
        if status == 403:
            raise UsageError(
                f"the token may not write to {repository}: name yourself or an organization of yours before the /, and "
                "use a token with the permission to write"
            ) from error
        reason = textwrap.shorten(next(filter(None, map(str, chain)), type(error).__name__), MAX_REASON)
        raise UsageError(
            f"the upload to {repository} was not finished, and nothing of it is visible there ({reason}); push again: "
            "large files that have arrived are not sent twice"
        ) from error
