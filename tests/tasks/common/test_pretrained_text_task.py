"""Tasks from text to text with a pretrained encoder: its tokens, copying, long sources, runs of every task."""

import dataclasses
import json
import shutil
from pathlib import Path

import datasets
import pytest
import tokenizers
import torch
import transformers
from safetensors.torch import load_file
from tokenizers import models, normalizers, pre_tokenizers, processors, trainers
from torch.testing import assert_close

import tasks
from decoders.base import UNK
from tasks import run
from tasks.common.errors import UsageError
from tasks.common.text.config import VocabularyConfig
from tasks.common.training.precompute import precompute
from tasks.toy_world.scenes import text_pairs
from tasks.translation import PRESETS, Config
from tasks.translation.task import Translation as Task

ROOT = Path(__file__).parents[3]
DIM, NUM_POSITIONS = 16, 100
LONG = "one red two " * 40


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> str:
    """Save a tiny BERT with random weights, and with a vocabulary of the toy world's English."""
    folder = str(tmp_path_factory.mktemp("bert"))
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))  # type: ignore[call-arg]
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    corpus = text_pairs("train", "en", "de", count=300)["source"]
    tokenizer.train_from_iterator(corpus, trainers.WordPieceTrainer(special_tokens=special, show_progress=False))
    ends = [("[CLS]", 2), ("[SEP]", 3)]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)
    torch.manual_seed(1)
    sizes = {"hidden_size": DIM, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": DIM}
    vocab_size = tokenizer.get_vocab_size()
    transformers.BertModel(
        transformers.BertConfig(**sizes, vocab_size=vocab_size, max_position_embeddings=NUM_POSITIONS)
    ).save_pretrained(folder)
    return folder


def tiny(bert: str, kind: str = "word", copy: bool = False, **encoder: object) -> Config:
    config = PRESETS["tiny"]()
    return dataclasses.replace(
        config,
        source="en",
        target="fr" if not copy else "de",
        vocabulary=VocabularyConfig(kind=kind, size=600, min_frequency=1),  # type: ignore[arg-type]
        encoder=dataclasses.replace(config.encoder, pretrained=bert, **encoder),
        decoder=dataclasses.replace(config.decoder, copy=copy),
    )


def fitted(config: Config, target: str = "target") -> Task:
    """Fit a task to some examples; with target "source", to their sources as the targets."""
    task = Task(config)
    examples = task.load("validation").select(range(50))
    task.fit(examples.remove_columns("target").add_column("target", examples[target]))
    return task


def restored(task: Task) -> Task:
    """Make a task from what the run folder of another one holds."""
    other = Task(task.config)
    other.load_state_dict(json.loads(json.dumps(task.state_dict())))
    return other


# ── Tokens ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("states", ["subwords", "words"])
def test_raw_and_precomputed_sources_have_the_same_memory(states, bert):
    task = fitted(tiny(bert, states=states))
    examples = task.load("validation").select(range(40))
    model = task.build_model().eval()
    cached = precompute(task, task.backbone, examples)
    raw, encoded = (
        model.encoder(task.batch_sources(part["source"][:8], training=False)) for part in (examples, cached)
    )
    assert_close(raw.states, encoded.states, rtol=1e-2, atol=1e-2)  # cached in half precision
    for name in ("mask", "token_ids", "segment_ids"):
        assert getattr(raw, name).equal(getattr(encoded, name)), name
    assert cached["length"][:8] == raw.mask.sum(dim=1).tolist()


def test_a_task_is_restored_from_its_state_with_its_truncation(bert):
    task = fitted(tiny(bert, max_source_tokens=3))
    other = restored(task)
    assert other.state_dict() == task.state_dict()
    (source,) = task.load("validation")["source"][:1]
    assert other.source_token_ids([source]) == task.source_token_ids([source])
    assert task.source_lengths([source]) == other.source_lengths([source]) == [5]
    assert len(task.display_source(source)) == 5


def test_unknown_tokens_are_counted_in_raw_and_in_precomputed_sources(bert):
    task = fitted(tiny(bert))
    examples = task.load("validation").select(range(3))
    examples = examples.remove_columns("source").add_column("source", ["one two", "狗 two one 猫", ""])
    assert task.unknown_shares(examples["source"]) == [0.0, 2 / 6, 0.0]
    assert task.unknown_shares(precompute(task, task.backbone, examples)["source"]) == [0.0, 2 / 6, 0.0]


def test_the_sentences_of_a_source_are_its_segments(bert):
    task = fitted(tiny(bert))
    source = task.collate_sources(["one red two. two red one."], training=False)
    memory = task.build_model().encoder(source)
    assert memory.segment_ids.tolist() == [[0] * 5 + [1] * 5]


# ── Copying ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["word", "bpe"])
def test_pieces_are_copied_as_the_same_tokens_of_the_target(kind, bert):
    task = fitted(tiny(bert, kind, copy=True), target="source")
    (source,) = task.load("validation")["source"][:1]
    ids = task.build_model().encoder(task.collate_sources([source], training=False)).token_ids[0].tolist()
    (target,) = task.tokenizer.encode([source])
    assert [ids[0], ids[-1]] == [UNK, UNK]
    assert kind != "word" or ids[1:-1] == target
    assert set(ids) - {UNK} <= set(target)
    assert len(set(ids)) > 3


@pytest.mark.parametrize("kind", ["byte", "character"])
def test_copying_needs_a_vocabulary_of_words_or_subwords(kind, bert):
    task = fitted(tiny(bert, kind, copy=True), target="source")
    with pytest.raises(UsageError, match=f"^decoder.copy copies the pieces .* vocabulary.kind {kind} has no such"):
        task.build_model()


def test_copying_into_another_language_is_refused(bert):
    task = fitted(tiny(bert, copy=True))
    with pytest.raises(UsageError, match=r"^decoder\.copy .* only \d+ of the \d+ entries of the target's vocabulary"):
        task.build_model()


# ── Length ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_source_longer_than_the_positions_is_reported_and_can_be_truncated(bert):
    task = fitted(tiny(bert))
    with pytest.raises(UsageError, match=r"^2 of 3 sources are longer than the 100 positions") as caught:
        task.source_lengths(["one", LONG, LONG])
    assert "number 2, with 122 tokens: set encoder.max_source_tokens to 98 or less" in str(caught.value)
    assert fitted(tiny(bert, max_source_tokens=98)).source_lengths(["one", LONG]) == [3, 100]
    with pytest.raises(UsageError, match=r"^encoder\.max_source_tokens is 99; .* at most 98$"):
        fitted(tiny(bert, max_source_tokens=99)).source_lengths(["one"])


def test_an_input_longer_than_the_positions_leaves_the_others_usable(bert):
    task = fitted(tiny(bert))
    first, long = map(task.parse_input, task.list_inputs(["one two", LONG]))
    assert first.segments and not long.segments
    assert "has 122 tokens, and the pretrained encoder has 100 positions" in str(long.problem)


# ── Runs ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "flag, reason",
    [
        (["--encoder.embedding-dim", "8"], "--encoder.pretrained is set"),
        (["--vocabulary.shared"], "--encoder.pretrained has a vocabulary of its own"),
    ],
)
def test_settings_without_effect_are_refused(flag, reason, bert, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        run.main(["translation", "train", "tiny", "--encoder.pretrained", bert, *flag])
    assert f"{flag[0]} has no effect: {reason}" in capsys.readouterr().err


def test_states_need_a_pretrained_encoder(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        run.main(["translation", "train", "tiny", "--encoder.states", "words"])
    assert "--encoder.states has no effect: --encoder.pretrained is not set" in capsys.readouterr().err


@pytest.fixture(scope="module")
def loaded() -> dict[tuple[str, str], datasets.Dataset]:
    """The examples of each task and split that a test has loaded."""
    return {}


@pytest.mark.parametrize("task", ["translation", "summarization", "dialogue", "poetry", "code_completion"])
@pytest.mark.parametrize(
    "flags",
    [[], ["--encoder.states", "words", "--train.encoder-lr", "1e-3", "--train.unfreeze-at", "1"]],
    ids=["frozen", "fine-tuned"],
)
def test_a_run_of_every_text_task_is_restored_from_its_folder_alone(
    task, flags, bert, loaded, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    load = tasks.task_class(task).load

    def load_few(self, split):
        if (task, split) not in loaded:
            examples = load(self, split)
            loaded[task, split] = examples.select(range(min(40, len(examples))))
        return loaded[task, split]

    monkeypatch.setattr(tasks.task_class(task), "load", load_few)
    path = shutil.copytree(bert, tmp_path / "bert")
    train = [task, "train", "tiny", "--run", "run", "--encoder.pretrained", str(path), "--train.epochs", "2"]
    train += ["--batch.max-sources", "20"]
    if task == "code_completion":  # the standard library takes half a minute to read
        train += ["--data", str(ROOT / "attention")]
    copies = getattr(tasks.package(task).PRESETS["tiny"]().decoder, "copy", False)
    run.main([*train, "--encoder.max-source-tokens", "20", *(["--decoder.no-copy"] if copies else []), *flags])
    prefix = "encoder.frontend.backbone."
    saved = load_file("run/best.safetensors")
    weights = {name.removeprefix(prefix): tensor for name, tensor in saved.items() if name.startswith(prefix)}
    pretrained = load_file(path / "model.safetensors")
    assert weights.keys() == {name for name in pretrained if not name.startswith("pooler.")}
    assert any(not tensor.equal(pretrained[name]) for name, tensor in weights.items()) == bool(flags)
    shutil.rmtree(path)
    run.main([task, "evaluate", "run", "--beam", "1"])
    (report,) = Path("run/evaluation").glob("*.json")
    assert json.loads(report.read_text())["examples"] > 0
    capsys.readouterr()
    run.main([task, "predict", "run", "one red two", "--plot-dir", "plots"])
    assert list(Path("plots").iterdir())


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("pairs")
    for split, count in (("train", 200), ("validation", 40)):
        table = text_pairs(split, "en", "de", count=count)
        for column, language in (("source", "en"), ("target", "de")):
            (folder / f"{split}.{language}").write_text("\n".join(table[column]) + "\n", encoding="utf-8")
    return str(folder)


def command(folder: Path, bert: str, pairs: str, *flags: str) -> list[str]:
    given = ["--data", pairs, "--source", "en", "--target", "de", "--encoder.pretrained", bert]
    return ["translation", "train", "tiny", "--run", str(folder), *given, "--batch.max-sources", "20", *flags]


def test_a_resumed_run_with_a_frozen_encoder_equals_an_uninterrupted_one(bert, pairs, tmp_path):
    schedule = ["--train.schedule", "constant", "--train.epochs"]
    run.main(command(tmp_path / "whole", bert, pairs, *schedule, "2"))
    run.main(command(tmp_path / "parts", bert, pairs, *schedule, "1"))
    run.main(["translation", "train", "--run", str(tmp_path / "parts"), "--resume", "--train.epochs", "2"])
    whole, parts = (load_file(tmp_path / name / "last" / "training.safetensors") for name in ("whole", "parts"))
    for name, tensor in whole.items():
        assert tensor.equal(parts[name]), name


@pytest.mark.usefixtures("on_cpu")
def test_two_processes_with_a_frozen_encoder_train_like_one(bert, pairs, tmp_path, run_in_two_processes):
    run_in_two_processes(*command(tmp_path / "two", bert, pairs, "--train.epochs", "1"))
    run.main(command(tmp_path / "one", bert, pairs, "--train.epochs", "1", "--train.grad-accum-steps", "2"))
    one, two = (load_file(tmp_path / name / "best.safetensors") for name in ("one", "two"))
    for name, tensor in one.items():
        assert_close(tensor, two[name], rtol=0.0, atol=1e-5, msg=name)
