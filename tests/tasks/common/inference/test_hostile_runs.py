"""Run folders of strangers: what is out of proportion or out of place is refused in one line, before it is built."""

import copy
import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fuzz_runs import configs_of, save_run
from safetensors.torch import load_file, save_file

from encoders.pretrained.base import config_from_settings
from tasks import load, run
from tasks.common.data.limits import MAX_JSON_BYTES
from tasks.common.errors import UsageError
from tasks.common.files import lock_run
from tasks.common.hub.runs import find_run
from tasks.common.inference.loading import load_parts
from tasks.common.text.config import VocabularyConfig
from tasks.common.text.foreign_tokenizer import check_tokenizer
from tasks.common.text.tokenizer import Tokenizer
from tasks.common.training.checkpoints import BestCheckpoints, read_training

HUGE = 1_000_000_000


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A run of translation that has learned next to nothing."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    data = tmp_path_factory.mktemp("data")
    for split in ("train", "val"):
        for language, text in (("de", "hier ist eine rote Vier"), ("en", "here is a red four")):
            (data / f"{split}.{language}").write_text(f"{text}\n" * 8, encoding="utf-8")
    run.main(["translation", "train", "tiny", "--data", str(data), "--train.epochs", "1", "--run", str(folder)])
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def change(path: Path, edit: Callable[[Any], None]) -> None:
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def refused(folder: Path) -> str:
    """Return the one line in which a run is refused."""
    with pytest.raises(UsageError) as error:
        load_parts("translation", [folder])
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    "group, setting", [("decoder", "hidden_dim"), ("encoder", "embedding_dim"), ("decoder", "num_layers")]
)
def test_a_model_far_larger_than_its_weights_is_not_built(folder, group, setting):
    change(folder / "config.json", lambda saved: saved["config"][group].update({setting: HUGE}))
    assert "has far fewer numbers than the model" in refused(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_are_refused(value, folder):
    weights = load_file(folder / "best.safetensors")
    next(iter(weights.values())).view(-1)[-1] = value
    save_file(weights, folder / "best.safetensors")
    assert "best.safetensors holds numbers that are not finite, for example in " in refused(folder)


@pytest.mark.parametrize("flag", ["--resume", "--init-from"])
def test_no_training_goes_on_with_a_model_far_larger_than_its_weights(flag, folder, tmp_path, capfd):
    change(folder / "config.json", lambda saved: saved["config"]["decoder"].update({"hidden_dim": HUGE}))
    runs = (
        ["--run", str(folder), "--resume"]
        if flag == "--resume"
        else ["--run", str(tmp_path / "new"), flag, str(folder)]
    )
    with pytest.raises(SystemExit, match="2"):
        run.main(["translation", "train", *runs])
    assert "has far fewer numbers than the model" in capfd.readouterr().err.replace("\n", " ")
    assert not (tmp_path / "new" / "config.json").exists()


@pytest.mark.parametrize(
    "text, reason",
    [
        ("[" * 100_000, "recursion"),
        ('{"task": "translation", "config": {"projection_dim": NaN}}', "NaN is not JSON"),
        ('{"task": "translation", "config": {"projection_dim": -Infinity}}', "-Infinity is not JSON"),
        ('{"task": "translation", "config": {"projection_dim": 1e999}}', "not of type int"),
        ('{"task": "translation", "config": {"search": {"beam": 1000000000}}}', "search.beam is 1000000000"),
        ('{"task": "translation", "config": {"search": {"max_length": 1000000000}}}', "search.max_length is"),
        ('{"task": "../../elsewhere", "config": {}}', "is a run of '../../elsewhere'"),
        ("", "it has 0 bytes"),
    ],
)
def test_a_configuration_that_is_none_is_refused_in_one_line(folder, text, reason):
    (folder / "config.json").write_text(text)
    assert reason in refused(folder)


@pytest.mark.parametrize("task", ["common.cli.train", ["translation"], None])
def test_the_name_of_a_task_is_none_of_a_module(folder, task):
    change(folder / "config.json", lambda saved: saved.update(task=task))
    with pytest.raises(UsageError, match="which is no task here; allowed are translation, "):
        load(folder)


@pytest.mark.parametrize(
    "name, value", [("log_prob", {"0.0": [1]}), ("log_prob", []), ("max_unknown", "1"), ("num_sources", {})]
)
def test_statistics_of_other_types_are_refused(folder, name, value):
    change(folder / "domain.json", lambda saved: saved.update({name: value}))
    with pytest.raises(UsageError, match=r"domain\.json is not the statistics of a run"):
        load(folder)


@pytest.mark.parametrize("length", ["40", 0, None, [40]])
def test_the_longest_example_of_speech_is_a_number_of_frames(tmp_path, length):
    run_folder = save_run("speech_recognition", next(configs_of("speech_recognition")), tmp_path / "run")
    change(run_folder / "vocabulary.json", lambda saved: saved.update(max_frames=length))
    with pytest.raises(UsageError, match=r"vocabulary\.json: its feature_dim and max_frames are not both positive"):
        load(run_folder)


def test_json_too_large_to_be_of_a_run_is_not_read(folder):
    with (folder / "vocabulary.json").open("r+b") as file:
        file.truncate(MAX_JSON_BYTES + 1)  # a hole, which takes no disk
    assert f"it has {MAX_JSON_BYTES + 1:,} bytes" in refused(folder)


@pytest.mark.parametrize("vocabulary", [[], "text", {"target": 3}, {"target": {"model": [1]}}, {"target": None}])
def test_a_vocabulary_of_other_types_is_refused(folder, vocabulary):
    (folder / "vocabulary.json").write_text(json.dumps(vocabulary))
    assert "vocabulary.json" in refused(folder)


def test_a_vocabulary_far_larger_than_the_weights_is_refused(folder):
    def grow(saved: Any) -> None:
        vocabulary = saved["target"]["model"]["vocab"]
        vocabulary |= {f"token {number}": number for number in range(len(vocabulary), 200_000)}

    change(folder / "vocabulary.json", grow)
    assert "has far fewer numbers than the model" in refused(folder)


def explode(saved: dict[str, Any]) -> None:
    replace = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 100}
    saved["normalizer"] = {"type": "Sequence", "normalizers": [replace] * 20}


def pad(saved: dict[str, Any]) -> None:
    saved["padding"] = {"strategy": {"Fixed": HUGE}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0,
                        "pad_type_id": 0, "pad_token": "<pad>"}  # fmt: skip


def search_forever(saved: dict[str, Any]) -> None:
    pattern = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False}
    saved["pre_tokenizer"]["pretokenizers"].append(pattern)


def panic(saved: dict[str, Any]) -> None:
    saved["model"] |= {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}
    saved["model"]["continuing_subword_prefix"] = "longer than b"
    saved["added_tokens"] = []


@pytest.mark.parametrize("spoil", [explode, pad, search_forever, panic])
def test_a_tokenizer_has_no_steps_but_those_of_this_program(folder, spoil):
    change(folder / "vocabulary.json", lambda saved: spoil(saved["target"]))
    assert "was not made by this program" in refused(folder)


def test_a_tokenizer_saved_before_a_setting_came_is_restored():
    tokenizer = Tokenizer.train(["here is a red four"] * 3, VocabularyConfig(kind="word", size=20))
    older = tokenizer.state_dict()
    for step in (older["pre_tokenizer"]["pretokenizers"][0], older["decoder"]["decoders"][1]):
        del step["split"], step["prepend_scheme"]
    assert older != tokenizer.state_dict() == Tokenizer.from_state_dict(older).state_dict()


def test_tokens_are_numbered_without_gaps():
    state = Tokenizer.train(["here is a red four"] * 3, VocabularyConfig(kind="word", size=20)).state_dict()
    assert len(Tokenizer.from_state_dict(state)) == len(state["model"]["vocab"])
    state["model"]["vocab"]["far"] = HUGE
    with pytest.raises(UsageError, match="without gaps"):
        Tokenizer.from_state_dict(state)


@pytest.mark.parametrize("kind", ["bpe", "byte", "unigram", "word", "character"])
@pytest.mark.parametrize("lowercase", [False, True])
def test_tokenizers_of_every_kind_are_restored(kind, lowercase):
    texts = ["here is a red four", "there are two blue nines"] * 4
    state = Tokenizer.train(texts, VocabularyConfig(kind=kind, size=400, lowercase=lowercase)).state_dict()
    assert Tokenizer.from_state_dict(json.loads(json.dumps(state))).state_dict() == state


def header(tensors: dict[str, Any], size: int | None = None) -> bytes:
    text = json.dumps(tensors).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text


@pytest.mark.parametrize(
    "content",
    [
        header({"a": {"dtype": "F32", "shape": [HUGE, HUGE], "data_offsets": [0, 4 * HUGE * HUGE]}}),
        header({"a": {"dtype": "F32", "shape": [HUGE], "data_offsets": [0, 4]}}) + bytes(4),
        header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
                "b": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}) + bytes(4),
        header({}, size=2**63),
        b"\x80\x04\x95" + bytes(100),
    ],
    ids=["shape", "offsets", "overlap", "header", "pickle"],
)  # fmt: skip
def test_weights_whose_header_lies_are_refused(folder, content):
    (folder / "best.safetensors").write_bytes(content)
    assert "is not a readable checkpoint" in refused(folder)


def test_a_state_of_training_without_its_progress_is_refused(tmp_path):
    path = tmp_path / "training.safetensors"
    save_file({"optimizer.x": torch.zeros(1)}, path)
    with pytest.raises(UsageError, match="is not the state of a training"):
        read_training(path)


def test_files_that_are_no_checkpoints_stay(tmp_path):
    for name in ("7", "mine"):
        (tmp_path / f"{name}.safetensors").touch()
    BestCheckpoints(tmp_path, [], 2).prune()
    assert [path.name for path in tmp_path.iterdir()] == ["mine.safetensors"]


def test_nothing_is_written_through_a_link_to_another_folder(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (folder / "evaluation").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="evaluation is a link"):
        find_run(folder)
    with pytest.raises(UsageError, match="evaluation is a link"), lock_run(folder):
        pass


def test_a_pretrained_encoder_is_never_looked_for_by_its_name(folder):
    change(folder / "config.json", lambda saved: saved["config"]["encoder"].update(pretrained="stranger/model"))
    assert "does not describe encoder.pretrained" in refused(folder)


@pytest.mark.parametrize(
    "settings",
    [
        {"model_type": "bert", "auto_map": {"AutoModel": "code.Model"}},
        {"model_type": "bert", "attn_implementation": "stranger/kernel"},
        {"model_type": "clip", "vision_config": {"attn_implementation": "stranger/kernel"}},
        {"model_type": "timm_wrapper", "architecture": "hf-hub:stranger/model"},
        {"model_type": "timm_wrapper", "architecture": "local-dir:folder"},
        {"model_type": "timm_wrapper", "architecture": "resnet18", "model_args": {"checkpoint_path": "weights.pth"}},
        {"model_type": "timm_wrapper", "model_args": {"pretrained_cfg_overlay": {"file": "weights.pth"}}},
    ],
)
def test_settings_of_a_model_name_no_code_or_weights_of_others(settings):
    with pytest.raises(ValueError, match="names code or files elsewhere"):
        config_from_settings(settings)


def test_original_names_of_a_model_and_its_parts_mean_nothing():
    settings = {"model_type": "clip", "text_config": {"_name_or_path": "owner/name", "hidden_size": 8}}
    assert config_from_settings(settings).text_config.hidden_size == 8
    recorded = {"hf_hub_id": "timm/resnet18.a1_in1k", "url": "https://github.com/x.pth"}
    settings = {"model_type": "timm_wrapper", "architecture": "resnet18", "pretrained_cfg": recorded}
    labels = {"id2label": {"0": "cat/dog"}, "label_names": ["cat/dog"]}
    assert config_from_settings(settings | labels).architecture == "resnet18"


TOKENIZER: dict[str, Any] = {
    "model": {"type": "WordPiece", "vocab": {"[UNK]": 0}},
    "added_tokens": [],
    "normalizer": {"type": "BertNormalizer"},
}


def test_tokenizers_of_pretrained_models_may_replace_but_not_explode():
    check_tokenizer(TOKENIZER)
    usual = copy.deepcopy(TOKENIZER)
    quotes = {"type": "Replace", "pattern": {"String": "``"}, "content": '"'}
    usual["normalizer"] = {"type": "Sequence", "normalizers": [quotes, {"type": "Prepend", "prepend": "▁"}]}
    check_tokenizer(usual)
    explode(usual)
    with pytest.raises(UsageError, match="times as long"):
        check_tokenizer(usual)
    far = copy.deepcopy(TOKENIZER)
    far["model"]["vocab"]["far"] = HUGE
    with pytest.raises(UsageError, match="with the id 1,000,000,000"):
        check_tokenizer(far)
