"""Runs of the hub wherever a run folder is: downloads, the cache, what is written, and every fault in one line."""

import json
import shutil
import time
from pathlib import Path

import huggingface_hub
import pytest

from tasks import load, run
from tasks.common.errors import UsageError
from tasks.common.hub.runs import find_run, reports_folder, run_name

SENTENCE = "eine rote Sieben über einer blauen Zwei"


@pytest.fixture
def toy(hub, published) -> str:
    """A run on the hub, and a joint one, ada/both."""
    for name, files in published.items():
        hub.add(f"ada/{name}", files)
    return "ada/toy"


def fault_of(name: str) -> str:
    """The line that says why a run is not found; it comes soon."""
    started = time.monotonic()
    with pytest.raises(UsageError) as caught:
        find_run(name)
    assert time.monotonic() - started < 3
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_that_exists_is_meant_before_the_hub_is(toy, hub, single_run):
    shutil.copytree(single_run, "ada/toy")
    assert find_run("ada/toy") == Path("ada/toy")
    assert find_run("ada/others") == Path("ada/others"), "what is missing in a folder is not looked for on the hub"
    for path in (single_run, "./toy", "toy", "a/b/c", "~/toy", str(single_run / "nothing")):
        assert find_run(path) == Path(path)
    shutil.rmtree("ada")
    assert find_run("runs/toy") == Path("runs/toy"), "not even where there are no runs yet"
    assert not hub.requests


def test_only_the_files_of_a_run_are_downloaded(hub, toy):
    files = hub.files(toy)
    hub.add(toy, files | {"pytorch_model.bin": b"pickle", "last/training.pt": b"pickle", "run.py": b"code"})
    folder = find_run(toy)
    found = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    assert found == {"config.json", "vocabulary.json", "best.safetensors", "domain.json", "evaluation/test.txt"}


def test_a_revision_names_an_older_run(hub, toy):
    first, (oid, *_) = hub.files(toy), list(hub.repositories[f"models/{toy}"].commits)[-1:]
    hub.add(toy, first | {"domain.json": b'{"num_sources": 1, "log_prob": {}, "max_unknown": 0}'})
    hub.repositories[f"models/{toy}"].names |= {"v1": oid, "refs/pr/1": oid}
    newest = find_run(toy)
    for name in (f"{toy}@v1", f"{toy}@{oid}", f"{toy}@refs/pr/1"):
        folder = find_run(name)
        assert folder != newest and (folder / "domain.json").read_bytes() == first["domain.json"]
    assert fault_of(f"{toy}@v2").startswith("ada/toy has no revision v2")


def test_without_the_hub_a_run_comes_from_the_cache(hub, toy):
    expected = load(toy)(SENTENCE)
    hub.stop()
    started = time.monotonic()
    assert load(toy)(SENTENCE).text == expected.text
    assert time.monotonic() - started < 6
    assert "can't be reached" in fault_of("ada/other")


def test_a_download_that_broke_off_is_not_taken_for_a_run(hub, toy, monkeypatch):
    monkeypatch.setattr(huggingface_hub.utils._http.time, "sleep", lambda seconds: None)  # between attempts
    hub.faults["best.safetensors"] = 500
    assert "ada/toy can't be downloaded" in fault_of(toy)
    hub.stop()
    assert "can't be reached" in fault_of(toy)


def test_a_name_that_the_hub_does_not_have_gets_its_near_match(toy):
    assert "ada/tony is neither a folder nor a model on" in fault_of("ada/tony")
    assert "; did you mean ada/toy" in fault_of("ada/tony")


def test_a_private_run_is_found_by_its_owner_alone(hub, published, monkeypatch):
    hub.add("ada/secret", published["toy"], private=True)
    assert (find_run("ada/secret") / "best.safetensors").is_file()
    shutil.rmtree(huggingface_hub.constants.HF_HUB_CACHE)
    for token in ("hf_bob", "hf_wrong", None):
        monkeypatch.setenv("HF_TOKEN", token) if token else monkeypatch.delenv("HF_TOKEN")
        assert "it is private" in fault_of("ada/secret") and "hf auth login" in fault_of("ada/secret")


def test_a_model_that_is_no_run_is_called_that_and_not_downloaded(hub):
    hub.add("ada/bert", {"config.json": b'{"model_type": "bert"}', "model.safetensors": b"large"})
    assert "ada/bert" in fault_of("ada/bert") and "is not a run of this project: it has no vocabulary" in fault_of(
        "ada/bert"
    )
    assert not any("model.safetensors" in each for each in hub.requests)


def test_a_run_of_a_task_that_is_not_here_is_refused(hub, toy):
    hub.add(toy, hub.files(toy) | {"config.json": json.dumps({"task": "common.cli", "config": {}}).encode()})
    assert "is a run of 'common.cli', which is no task here" in fault_of(toy)
    for content in (b"[]", b'{"task": []}', b"{"):
        hub.add(toy, hub.files(toy) | {"config.json": content})
        assert fault_of(toy)


def test_an_evaluation_is_written_beside_the_runs_of_this_machine_and_not_into_the_cache(hub, toy, single_run, capsys):
    folder = find_run(toy)
    before = sorted(folder.rglob("*"))
    data = Path(json.loads((single_run / "config.json").read_text())["config"]["data"])
    Path(data.name).symlink_to(data)
    run.main(["translation", "evaluate", toy, "--beam", "1", "--baseline", toy])
    commit = list(hub.repositories["models/ada/toy"].commits)[-1][:7]
    (written,) = Path("runs").glob(f"ada--toy@{commit}/evaluation/*.json")
    report = json.loads(written.read_text())
    assert report["baseline"]["run"] == f"ada/toy@{commit}"
    assert sorted(folder.rglob("*")) == before
    assert f"runs/ada--toy@{commit}/evaluation" in capsys.readouterr().err


def test_published_hypotheses_are_a_baseline(hub, toy, single_run, tmp_path):
    copy = shutil.copytree(single_run, tmp_path / "copy")
    run.main(["translation", "evaluate", str(copy), "--beam", "1", "--baseline", toy])
    report = json.loads((copy / "evaluation" / "test-beam1.json").read_text())
    assert report["baseline"]["run"].startswith("ada/toy@")


def test_names_of_the_hub_go_wherever_a_folder_does(toy, single_run, tmp_path, capsys):
    capsys.readouterr()
    run.main(["translation", "predict", toy, SENTENCE, "--ensemble", toy])
    assert capsys.readouterr().out == f"{load(single_run)(SENTENCE).text}\n"
    run.main(["joint", "predict", "ada/both", SENTENCE])
    run.main(["joint", "extract", "ada/both", "--task", "translation", "--run", "extracted"])
    assert load("extracted")(SENTENCE).text == load(single_run)(SENTENCE).text
    data = json.loads((single_run / "config.json").read_text())["config"]["data"]
    flags = ["--data", data, "--train.epochs", "1", "--run", "new"]
    run.main(["translation", "train", "tiny", "--init-from", toy, *flags])
    assert (tmp_path / "new" / "best.safetensors").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("translation predict ada/none x", "error: ada/none is neither"),
        ("translation predict ada/both x", "error: ada/both@"),
        ("translation predict ada/toy x --ensemble ada/none", "error: --ensemble: ada/none is neither"),
        ("translation predict ada/toy x --rerank ada/none", "error: --rerank: ada/none is neither"),
        ("translation evaluate ada/toy --baseline ada/none", "error: --baseline: ada/none is neither"),
        ("translation train tiny --run new --init-from ada/none", "error: --init-from: ada/none is neither"),
        (
            "joint train translation:tiny --run new --init-from ada/none,ada/toy",
            "error: --init-from: ada/none is neither",
        ),
        ("joint extract ada/none --task translation --run new", "error: ada/none is neither"),
    ],
)
def test_mistakes_name_the_flag(toy, capsys, arguments, message):
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit:
        run.main(arguments.split())
    assert exit.value.code == 2
    (line,) = [each for each in capsys.readouterr().err.splitlines() if each.startswith("error")]
    assert line.startswith(message)


def test_a_folder_of_the_cache_is_shown_by_its_name_on_the_hub():
    folder = Path("/home/ada/.cache/huggingface/hub/models--ada--a--b/snapshots/0123456789abcdef")
    assert run_name(folder) == "ada/a--b@0123456"
    assert run_name(folder / "translation") == "ada/a--b@0123456/translation"
    assert reports_folder(folder / "translation") == Path("runs/ada--a--b@0123456/translation")
    for other in (Path("runs/demo"), Path("/models--ada--a/snapshots"), Path("snapshots/models--ada--a")):
        assert (run_name(other), reports_folder(other)) == (str(other), other)
