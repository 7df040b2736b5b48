"""Verse: rhymes and tones, data, metrics, and a search that keeps the form."""

import json
from dataclasses import replace
from typing import Any

import pytest
import torch

from decoders.base import NEG_INF
from decoders.config import CTCDecoderConfig, SearchConfig
from decoders.search import mask_invalid
from tasks import run
from tasks.common.errors import UsageError
from tasks.common.metrics.base import SelectionMetric
from tasks.common.text.config import VocabularyConfig
from tasks.common.text.tokenizer import Tokenizer
from tasks.poetry import Config
from tasks.poetry.config import PoetrySearchConfig, PromptKind
from tasks.poetry.data import load_verse
from tasks.poetry.metrics import count_rhymes, form_stats, tone_stats
from tasks.poetry.task import Poetry as Task
from tasks.poetry.verse import (
    LEVEL,
    OBLIQUE,
    num_characters,
    rhyme_class,
    split_lines,
    tone_class,
    tones_alternate,
)
from tasks.poetry.verse_constraint import VerseConstraint, VerseFeatures

QUATRAIN = ["白日依山盡", "黃河入海流", "欲窮千里目", "更上一層樓"]
OTHER = ["床前明月光", "疑是地上霜", "舉頭望明月", "低頭思故鄉"]


def test_rhymes_are_those_of_mandarin():
    assert rhyme_class("流") == rhyme_class("樓") and rhyme_class("光") == rhyme_class("霜") == rhyme_class("鄉")
    assert rhyme_class("流") != rhyme_class("光") and rhyme_class("山") != rhyme_class("上")
    assert rhyme_class("天") == rhyme_class("山") == rhyme_class("遠")  # a medial changes nothing
    assert rhyme_class("x") is None


def test_nearly_all_characters_have_a_rhyme_and_a_tone():
    common = [chr(code) for code in range(0x4E00, 0x4F00)]
    without = [character for character in common if rhyme_class(character) is None or tone_class(character) is None]
    assert len(without) < 0.05 * len(common), without


def test_tones_are_level_or_oblique_and_alternate_in_regulated_lines():
    assert [tone_class(character) for character in "天人上入"] == [LEVEL, LEVEL, OBLIQUE, OBLIQUE]
    assert tones_alternate("更上一層樓")  # shàng, céng
    assert not tones_alternate("床前明天光")  # qián, tiān


@pytest.mark.parametrize(
    "text, lines",
    [
        ("白日依山盡，黃河入海流。", QUATRAIN[:2]),
        ("白日依山盡/黃河入海流", QUATRAIN[:2]),
        ("Shall I compare thee\nto a summer's day?", ["Shall I compare thee", "to a summer's day?"]),
        ("，。", []),
    ],
)
def test_poems_are_split_into_lines_at_punctuation_or_line_breaks(text, lines):
    assert split_lines(text) == lines


# ── Data ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def folder(tmp_path):
    poems = [{"title": "登鸛雀樓", "author": "王之渙", "lines": QUATRAIN}, {"title": "靜夜思", "lines": OTHER}]
    for split in ("train", "validation"):
        text = "".join(json.dumps(poem, ensure_ascii=False) + "\n" for poem in poems)
        (tmp_path / f"{split}.jsonl").write_text(text, encoding="utf-8")
    return tmp_path


def test_the_prompt_kind_determines_source_and_target(folder):
    next_lines = load_verse(str(folder), "train", "lines", False)
    assert len(next_lines) == 6 and next_lines[1]["source"] == "/".join(QUATRAIN[:2])
    assert next_lines[1]["target"] == QUATRAIN[2] and next_lines[1]["references"] == [QUATRAIN[2]]
    first = load_verse(str(folder), "train", "first", False)[0]
    assert (first["source"], first["target"]) == (QUATRAIN[0], "/".join(QUATRAIN[1:]))
    title = load_verse(str(folder), "train", "title", False)[0]
    assert (title["source"], title["target"]) == ("登鸛雀樓", "/".join(QUATRAIN))


def test_files_of_the_collection_are_read_and_split_by_poem(tmp_path):
    poems = [
        {"title": f"{number}", "paragraphs": [f"{chr(0x4E00 + number)}日依山盡，黃河入海流。"]} for number in range(90)
    ]
    (tmp_path / "poet.tang.0.json").write_text(json.dumps(poems), encoding="utf-8")
    (tmp_path / "authors.tang.json").write_text(json.dumps([{"name": "somebody"}]), encoding="utf-8")
    splits = {split: load_verse(str(tmp_path), split, "lines", False) for split in ("train", "validation", "test")}
    assert sum(map(len, splits.values())) == 90
    assert min(map(len, splits.values())) > 0 and len(splits["train"]) > 45
    assert all(row["target"] == "黃河入海流" for row in splits["test"])


@pytest.mark.parametrize(
    "content, message", [(None, r"invalid: row \d+ has no list of lines"), ("[" * 50_000, "not valid JSON")]
)
def test_a_collection_of_another_form_is_one_line(tmp_path, content, message):
    poems = [{"title": "", "paragraphs": [f"{chr(0x4E00 + number)}日依山盡，黃河入海流。"]} for number in range(20)]
    poems[0]["paragraphs"] = 3
    (tmp_path / "poet.json").write_text(content or json.dumps(poems), encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        for split in ("train", "validation", "test"):
            load_verse(str(tmp_path), split, "lines", False)


def test_invalid_poems_are_reported_together(folder):
    poems = [{"lines": ["", "x"]}, {"lines": ["白□", "日"]}, {"lines": ["，。"]}, {"lines": QUATRAIN}]
    text = "".join(json.dumps({"title": "x", **poem}, ensure_ascii=False) + "\n" for poem in poems)
    (folder / "train.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(
        UsageError, match=r"3 of 4 rows are invalid: row 1 is empty; row 2 has a gap .*; row 3 has no line"
    ):
        load_verse(str(folder), "train", "lines", False)
    assert len(load_verse(str(folder), "train", "lines", True)) == 3
    (folder / "train.jsonl").write_text(json.dumps({"verse": "x"}) + "\n")
    with pytest.raises(UsageError, match="unknown column 'lines'"):
        load_verse(str(folder), "train", "lines", False)


def test_idioms_are_the_data_by_default():
    train, test = (load_verse(None, split, "lines", False) for split in ("train", "test"))
    assert len(train) > 10_000 and len(test) > 1000
    assert not {*train["source"]} & {*test["source"]}
    assert all(num_characters(row["source"]) == num_characters(row["target"]) == 2 for row in test)


# ── Metrics ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_form_is_the_number_of_lines_and_their_lengths():
    references = [["白日依山盡"], ["黃河入海流/欲窮千里目"]]
    kept = form_stats(["一二三四五", "一二三四五/一二三四"], references)[:, 0]
    assert kept.tolist() == [1.0, 0.0]


def test_rhymes_are_counted_in_generated_even_lines():
    assert count_rhymes(QUATRAIN[:3], QUATRAIN[3]) == (1, 1)
    assert count_rhymes(QUATRAIN[:3], OTHER[3]) == (0, 1)
    assert count_rhymes(QUATRAIN[:3], "更上一層流") == (0, 1)  # the same character is not a rhyme
    assert count_rhymes(QUATRAIN[:2], QUATRAIN[2]) == (0, 0)  # the third line need not rhyme
    assert count_rhymes(QUATRAIN[:1], "/".join(QUATRAIN[1:])) == (1, 1)
    assert count_rhymes([], "/".join(OTHER)) == (1, 1)


def test_tones_are_counted_in_lines_of_four_or_more_characters():
    assert tone_stats(["更上一層樓/床前明天光", "一心"], [["x"], ["y"]]).tolist() == [[1.0, 2.0], [0.0, 0.0]]


# ── Verse form in the search ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    texts = ["/".join(QUATRAIN), "/".join(OTHER), "a, b 1"]
    return Tokenizer.train(texts, VocabularyConfig(kind="character", size=100, min_frequency=0))


def allowed(constraint: VerseConstraint, tokenizer: Tokenizer, tokens: list[int], sentence: int = 0) -> set[str]:
    """Return the tokens that may follow ``tokens``."""
    scores = torch.zeros(1, len(tokenizer))
    prefix = torch.tensor([tokens], dtype=torch.long)
    mask_invalid(scores, prefix, SearchConfig(), constraint, torch.tensor([sentence]))
    return {tokenizer.display_tokens([int(token)])[0] for token in (scores[0] > NEG_INF).nonzero()}


def test_a_line_has_its_length_and_then_ends(tokenizer):
    constraint = VerseConstraint(VerseFeatures.from_tokenizer(tokenizer), [QUATRAIN[:1]], [[2, 1]], rhymed=False)
    han = {token for token in tokenizer.display_tokens(range(len(tokenizer))) if num_characters(token) == 1}
    start, one, two, separator = tokenizer.encode(["白日/"])[0]
    assert allowed(constraint, tokenizer, []) == han | {"·"}
    assert allowed(constraint, tokenizer, [start]) == han
    assert allowed(constraint, tokenizer, [start, one]) == han
    assert allowed(constraint, tokenizer, [start, one, two]) == {"/"}
    assert allowed(constraint, tokenizer, [start, one, two, separator]) == han
    assert allowed(constraint, tokenizer, [start, one, two, separator, one]) == {"</s>"}


def test_even_lines_end_on_the_rhyme_of_the_second(tokenizer):
    features = VerseFeatures.from_tokenizer(tokenizer)
    han = {token for token in tokenizer.display_tokens(range(len(tokenizer))) if num_characters(token) == 1}
    fourth = VerseConstraint(features, [OTHER[:3], QUATRAIN[:3], QUATRAIN[:2]], [[1], [1], [1]], rhymed=True)
    assert allowed(fourth, tokenizer, [], 0) == {
        character for character in han if rhyme_class(character) == rhyme_class("霜")
    } - {"霜"} | {"·"}
    assert "樓" in allowed(fourth, tokenizer, [], 1) and "霜" not in allowed(fourth, tokenizer, [], 1)
    assert allowed(fourth, tokenizer, [], 2) == han | {"·"}
    # A whole poem: the second line is generated as well, and the fourth rhymes with it.
    poem = VerseConstraint(features, [QUATRAIN[:1]], [[1, 1, 1]], rhymed=True)
    tokens = tokenizer.encode(["流/目/"])[0]
    assert allowed(poem, tokenizer, tokens) == {
        character for character in han if rhyme_class(character) == rhyme_class("流")
    } - {"流"}


@pytest.mark.parametrize("sample", [False, True], ids=["beam search", "sampling"])
def test_an_untrained_model_keeps_the_form(sample, folder):
    task = Task(
        Config(data=str(folder), prompt_kind="first", vocabulary=VocabularyConfig(kind="character", min_frequency=0))
    )
    examples = task.load("train")
    task.fit(examples)
    model = task.build_model().eval()
    sources = [QUATRAIN[0], OTHER[0], "明月"]
    source = task.collate_sources(sources, training=False)
    config = PoetrySearchConfig(sample=sample, n_best=3, beam=3, form="rhyme", min_length=60)
    constraint = task.constrain_form(sources, config, torch.device("cpu"))
    for given, ranked in zip(sources, model.decoder.search(model.encoder(source), config, constraint), strict=True):
        assert len(ranked) == 3
        for hypothesis in ranked:
            lines = task.detokenize(hypothesis.tokens).split("/")
            assert [num_characters(line) for line in lines] == [len(given)] * 3 == [len(line) for line in lines]
            assert count_rhymes([given], "/".join(lines)) == (1, 1)


@pytest.mark.parametrize("sample", [False, True], ids=["beam search", "sampling"])
def test_a_form_longer_than_max_length_still_ends(sample, folder):
    task = Task(Config(data=str(folder), vocabulary=VocabularyConfig(kind="character", min_frequency=0)))
    task.fit(task.load("train"))
    model = task.build_model().eval()
    sources = [QUATRAIN[0], "白" * 300]
    config = PoetrySearchConfig(sample=sample, form="rhyme", max_length=3)
    constraint = task.constrain_form(sources, config, torch.device("cpu"))
    found = model.decoder.search(model.encoder(task.collate_sources(sources, training=False)), config, constraint)
    assert all(len(best) == 1 and len(best[0].tokens) <= 3 for best in found)


def test_a_form_needs_chinese_characters_in_the_vocabulary(tmp_path):
    for split in ("train", "validation"):
        (tmp_path / f"{split}.jsonl").write_text(json.dumps({"lines": ["Shall I compare thee", "to a day"]}) + "\n")
    task = Task(Config(data=str(tmp_path), vocabulary=VocabularyConfig(kind="character", min_frequency=0)))
    task.fit(task.load("train"))
    with pytest.raises(UsageError, match=r"search\.form is length, .* no Chinese characters: allowed is free"):
        task.constrain_form(["Shall I"], PoetrySearchConfig(form="length"), torch.device("cpu"))
    assert task.report.diversity(["to a day", "to a night"])["distinct-1"] == pytest.approx(100 * 4 / 6)


def test_splits_of_a_folder_are_kept(tmp_path):
    for split, first in zip(("train", "validation", "test"), "天地人", strict=True):
        (tmp_path / f"{split}.json").write_text(json.dumps([{"lines": [first + "日依山盡", "黃河入海流"]}]))
    for split, first in zip(("train", "validation", "test"), "天地人", strict=True):
        assert load_verse(str(tmp_path), split, "lines", False)["source"] == [first + "日依山盡"]


def test_lines_of_the_training_poems_count_as_copied(folder):
    task = Task(Config(data=str(folder)))
    report = task.report.diversity([QUATRAIN[1], "一二三四五"])
    assert report["copied lines"] == 50.0 and report["distinct-1"] == 100.0


# ── Command line ───────────────────────────────────────────────────────────────────────────────────────────


def test_it_trains_evaluates_and_predicts(folder, tmp_path, capsys):
    run_folder = str(tmp_path / "run")
    run.main(["poetry", "train", "tiny", "--data", str(folder), "--run", run_folder, "--vocabulary.min-frequency", "0"])
    run.main(["poetry", "evaluate", run_folder, "--split", "validation"])
    report = json.loads((tmp_path / "run" / "evaluation" / "validation.json").read_text())
    assert report["metrics"]["form"] == 100.0 and report["metrics"]["rhyme"] == 100.0
    assert report["perplexity"] > 1 and "copied lines" in report["diversity"]
    capsys.readouterr()
    run.main(["poetry", "predict", run_folder, "白日依山盡，黃河入海流。", "", "hello", "--seed", "2"])
    first, empty, latin, rest = capsys.readouterr().out.split("\n")
    assert num_characters(first) == len(first) == 5 and (empty, rest) == ("", "") and num_characters(latin) == 5


def test_other_tasks_have_no_form(capsys, tmp_path):
    from tasks.translation import PRESETS
    from tasks.translation.task import Translation

    assert Translation(PRESETS["tiny"]()).constrain is None
    with pytest.raises(TypeError, match="form"):
        SearchConfig(form="rhyme")  # type: ignore[call-arg]
    with pytest.raises(SystemExit):
        run.main(["translation", "train", "tiny", "--run", str(tmp_path / "run"), "--search.form", "rhyme"])
    assert "--search.form" in capsys.readouterr().err


def test_a_free_form_has_no_constraint(folder):
    task = Task(Config(data=str(folder)))
    for search in (PoetrySearchConfig(), SearchConfig()):
        assert task.constrain(["x"], search, torch.device("cpu")) is None


def test_the_loss_selects_the_checkpoint():
    assert Task(Config()).selection_metric == SelectionMetric("nll", higher_is_better=False)


def test_settings_of_the_form_are_unused_where_it_is_given_or_free():
    rhymed = Config(search=PoetrySearchConfig(form="rhyme"))

    def unused(prompt_kind: PromptKind, **changes: Any) -> dict[str, str]:
        return replace(rhymed, prompt_kind=prompt_kind, **changes).unused_settings()

    names = {"stanza_lines", "line_length"}
    assert {name: unused("lines")[name] for name in names} == dict.fromkeys(names, "prompt_kind is lines")
    assert names & unused("first").keys() == {"line_length"}  # the lines are as long as the given one
    assert names.isdisjoint(unused("title"))
    free = unused("title", search=PoetrySearchConfig())
    assert {name: free[name] for name in names} == dict.fromkeys(names, "search.form is free")
    assert "search.form" not in unused("title")
    assert unused("title", decoder=CTCDecoderConfig(), attention=None)["search.form"] == "decoder.kind is ctc"
    assert free["skip_invalid"] == "data is not set"


def test_metrics_of_the_references_themselves(folder):
    task = Task(Config(data=str(folder)))
    examples = task.load("validation")
    scores = {metric.name: metric(examples["target"], examples["references"]) for metric in task.metrics_for(examples)}
    assert scores["form"] == 100.0 and scores["rhyme"] == 100.0
