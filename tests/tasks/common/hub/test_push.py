"""Uploads of runs: what is published and what is not, the model card, and every refusal of the hub in one line."""

import json
import shutil
import time
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import ModelCard

from tasks import load, run
from tasks.common.hub.push import push_run, without_folders

SENTENCE = "eine rote Sieben über einer blauen Zwei"
MODEL = {"config.json", "vocabulary.json", "best.safetensors"}


@pytest.fixture
def plain_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """A card without an example and its plot, which take some seconds."""
    monkeypatch.setattr("tasks.common.hub.push.make_card_files", lambda *_: {"README.md": b"a card"})


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The line with which a command ends."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit:
        run.main(list(arguments))
    assert exit.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    return line


def test_a_run_is_published_without_the_state_of_training_and_without_other_peoples_data(hub, single_run, capsys):
    (single_run / "last").mkdir(exist_ok=True)
    (single_run / "last" / "training.safetensors").write_bytes(b"state of the optimizer")
    (single_run / "weights.pkl").write_bytes(b"pickle")
    run.main(["push", str(single_run), "ada/toy", "--license", "apache-2.0"])
    assert f"{hub.address}/ada/toy" in capsys.readouterr().out
    files = hub.files("ada/toy")
    reports = {"evaluation/test.json", "evaluation/test.png", "evaluation/test.txt"}
    assert files.keys() == {*MODEL, *reports, "domain.json", "README.md", "plots/attention.png", ".gitattributes"}
    assert files["best.safetensors"] == (single_run / "best.safetensors").read_bytes()
    data = Path(json.loads((single_run / "config.json").read_text())["config"]["data"])
    assert data.is_absolute() and json.loads(files["config.json"])["config"]["data"] == data.name
    report = json.loads(files["evaluation/test.json"])
    assert report["data"] == data.name and "selected" not in report and report["metrics"]
    assert not any(str(data.parent).encode() in content for content in files.values())
    assert files["plots/attention.png"].startswith(b"\x89PNG")


def test_the_card_has_scores_intervals_signatures_an_example_and_the_license(hub, single_run):
    push_run(single_run, "ada/toy", private=False, license="cc-by-4.0")
    text = hub.files("ada/toy")["README.md"].decode()
    card = ModelCard(text)
    report = json.loads((single_run / "evaluation" / "test.json").read_text())
    assert (card.data.license, card.data.pipeline_tag, card.data.model_name) == ("cc-by-4.0", "translation", "toy")
    results = {result.metric_type: result for result in card.data.eval_results}
    assert results.keys() == report["metrics"].keys()
    for name, result in results.items():
        assert result.metric_value == pytest.approx(report["metrics"][name], abs=1e-4)
        assert result.metric_args["signature"] == report["signature"][name]
        assert result.metric_args["95 % interval"] == pytest.approx(report["intervals"][name], abs=1e-4)
        assert result.dataset_split == "test"
    example = next(each for each in report["selected"] if each["group"] in ("median", "from worst to best"))
    for part in ('load("ada/toy")', "translation predict ada/toy", example["source"], "plots/attention.png", "cc-by"):
        assert part in text
    assert load(single_run)(example["source"]).text in text


def test_the_example_is_one_of_the_runs_own_data(hub, single_run, tmp_path):
    copy = shutil.copytree(single_run, tmp_path / "copy")
    report = json.loads((copy / "evaluation" / "test.json").read_text())
    others = [{**each, "example": 12 - row} for row, each in enumerate(report["selected"])]
    text = json.dumps(report | {"data": "others", "selected": others[::-1]})
    (copy / "evaluation" / "test-others.json").write_text(text)  # comes before test.json
    push_run(copy, "ada/toy", private=False, license=None)
    card = hub.files("ada/toy")["README.md"].decode()
    assert report["selected"][0]["source"] in card and report["selected"][0]["reference"] in card


@pytest.mark.usefixtures("plain_card")
def test_a_pushed_run_generates_what_its_folder_does(hub, single_run):
    push_run(single_run, "ada/toy", private=False, license=None)
    expected, found = load(single_run)(SENTENCE), load("ada/toy")(SENTENCE)
    assert (found.text, found.score, found.out_of_domain) == (expected.text, expected.score, expected.out_of_domain)


def test_a_joint_run_is_published_with_the_parts_of_it(hub, joint_run, capsys):
    run.main(["push", str(joint_run), "ada/both"])
    assert "image_captioning: the card has no scores" in capsys.readouterr().err
    files = hub.files("ada/both")
    assert {"translation/domain.json", "translation/evaluation/test.txt", "image_captioning/domain.json"} <= set(files)
    assert files["image_captioning/plots/attention.png"].startswith(b"\x89PNG")
    card = ModelCard(files["README.md"].decode())
    assert card.data.pipeline_tag is None
    assert {result.task_type for result in card.data.eval_results} == {"translation"}
    assert "photo.jpg" in card.text and "a sentence" in card.text and "No license" in card.text
    assert load("ada/both")(SENTENCE).text == load(joint_run)(SENTENCE).text


def test_a_run_without_its_data_is_published_without_an_example(hub, single_run, tmp_path, capsys):
    moved = copy_run(single_run, tmp_path / "moved")
    saved = json.loads((moved / "config.json").read_text())
    saved["config"]["data"] = str(tmp_path / "gone")
    (moved / "config.json").write_text(json.dumps(saved))
    push_run(moved, "ada/toy", private=False, license=None)
    assert "the card has no example" in capsys.readouterr().err
    files = hub.files("ada/toy")
    assert "plots/attention.png" not in files and "It was not evaluated." in files["README.md"].decode()


def copy_run(folder: Path, copy: Path) -> Path:
    """Copy the files of a run, apart from its evaluation."""
    copy.mkdir()
    for name in MODEL:
        (copy / name).write_bytes((folder / name).read_bytes())
    return copy


@pytest.mark.usefixtures("plain_card")
def test_a_second_upload_replaces_the_first_sends_no_weights_again_and_leaves_no_old_report(hub, single_run, tmp_path):
    push_run(single_run, "ada/toy", private=False, license=None)
    hub.requests.clear()
    push_run(copy_run(single_run, tmp_path / "copy"), "ada/toy", private=False, license=None)
    assert not [each for each in hub.requests if each.startswith("PUT")]
    files = hub.files("ada/toy")
    assert files.keys() == {*MODEL, "README.md", ".gitattributes"}


@pytest.mark.usefixtures("plain_card")
def test_a_private_repository_is_made_and_a_public_one_is_never_taken_for_it(hub, single_run, capsys):
    push_run(single_run, "ada/secret", private=True, license=None)
    assert hub.repositories["models/ada/secret"].private
    push_run(single_run, "ada/open", private=False, license=None)
    before = hub.files("ada/open")
    assert "is public already" in refused(capsys, "push", str(single_run), "ada/open", "--private")
    assert hub.files("ada/open") == before


@pytest.mark.usefixtures("plain_card")
def test_the_repository_of_another_model_is_left_alone(hub, single_run, capsys):
    hub.add("ada/bert", {"config.json": b"{}", "model.safetensors": b"", "README.md": b""})
    before = hub.files("ada/bert")
    assert "holds another model" in refused(capsys, "push", str(single_run), "ada/bert")
    assert hub.files("ada/bert") == before


def test_without_a_token_the_error_says_how_to_log_in(hub, single_run, capsys, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    assert "log in with `hf auth login`, or set HF_TOKEN" in refused(capsys, "push", str(single_run), "ada/toy")


def test_a_wrong_token_is_called_that(hub, single_run, capsys, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert "does not accept the token" in refused(capsys, "push", str(single_run), "ada/toy")
    assert not hub.repositories


@pytest.mark.usefixtures("plain_card")
def test_a_name_of_somebody_else_is_forbidden(hub, single_run, capsys):
    hub.add("bob/toy", {"vocabulary.json": b"{}"})
    for name in ("bob/toy", "bob/new"):
        assert f"may not write to {name}" in refused(capsys, "push", str(single_run), name)
    assert hub.files("bob/toy") == {"vocabulary.json": b"{}"} and "models/bob/new" not in hub.repositories


def test_a_hub_that_is_not_there_is_given_up_at_once(hub, single_run, capsys):
    hub.stop()
    started = time.monotonic()
    assert "can't be reached" in refused(capsys, "push", str(single_run), "ada/toy")
    assert time.monotonic() - started < 3


@pytest.mark.usefixtures("plain_card")
@pytest.mark.parametrize("fault", [500, 0], ids=["an error of the server", "a connection that breaks"])
@pytest.mark.parametrize("place", ["/store/", "/commit/"])
def test_an_upload_that_breaks_off_changes_nothing_and_goes_on(hub, single_run, capsys, monkeypatch, place, fault):
    monkeypatch.setattr(huggingface_hub.utils._http.time, "sleep", lambda seconds: None)  # between attempts
    hub.faults[place] = fault
    assert "was not finished" in refused(capsys, "push", str(single_run), "ada/toy")
    assert hub.files("ada/toy").keys() == {".gitattributes"}
    hub.faults.clear()
    hub.requests.clear()
    push_run(single_run, "ada/toy", private=False, license=None)
    assert hub.files("ada/toy").keys() >= MODEL
    sent = [each for each in hub.requests if each.startswith("PUT")]
    assert len(sent) == (1 if place == "/store/" else 0)


def test_a_license_that_the_hub_does_not_know_is_refused_by_it(hub, single_run, capsys):
    assert '"license" must be one of' in refused(capsys, "push", str(single_run), "ada/toy", "--license", "nonsense")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["RUN"], "push RUN OWNER/NAME"),
        (["RUN", "toy"], "allowed is OWNER/NAME"),
        (["RUN", "ada/toy@main"], "allowed is OWNER/NAME"),
        (["nowhere", "ada/toy"], "nowhere is not the folder of a run"),
    ],
)
def test_mistakes_are_found_before_the_hub_is_asked(hub, single_run, capsys, arguments, message):
    line = refused(capsys, "push", *[str(single_run) if each == "RUN" else each for each in arguments])
    assert message in line and not hub.requests


def test_absolute_paths_of_any_system_are_cut_to_their_last_part():
    given = {
        "data": "/home/ada/m30k",
        "encoder": ["C:\\models\\whisper", "openai/whisper-tiny"],
        "seed": 1,
        "none": None,
    }
    assert without_folders(given) == {
        "data": "m30k",
        "encoder": ["whisper", "openai/whisper-tiny"],
        "seed": 1,
        "none": None,
    }
