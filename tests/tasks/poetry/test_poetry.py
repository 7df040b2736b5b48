"""Verse: rhymes and tones, data, and a search that keeps the form."""

import json

import pytest
import torch

import run
from decoders.base import NEG_INF
from decoders.config import SearchConfig
from decoders.search import mask_invalid
from tasks.common.errors import UsageError
from tasks.common.text.tokenizer import Tokenizer, VocabularyConfig
from tasks.poetry import Config, Task
from tasks.poetry.data import load_verse
from tasks.poetry.task import form_statistics, rhymes, tone_statistics
from tasks.poetry.verse import LEVEL, OBLIQUE, alternates, lines_of, rhyme, size, tone
from tasks.poetry.verse_constraint import VerseConstraint, VerseFeatures

QUATRAIN = ["白日依山盡", "黃河入海流", "欲窮千里目", "更上一層樓"]
OTHER = ["床前明月光", "疑是地上霜", "舉頭望明月", "低頭思故鄉"]


def test_rhymes_are_those_of_mandarin():
    assert rhyme("流") == rhyme("樓") and rhyme("光") == rhyme("霜") == rhyme("鄉")
    assert rhyme("流") != rhyme("光") and rhyme("山") != rhyme("上")
    assert rhyme("天") == rhyme("山") == rhyme("遠")  # a medial changes nothing
    assert rhyme("x") is None


def test_every_character_of_a_large_list_has_a_rhyme_and_a_tone():
    common = [chr(code) for code in range(0x4E00, 0x4F00)]
    without = [character for character in common if rhyme(character) is None or tone(character) is None]
    assert len(without) < 0.05 * len(common), without


def test_tones_are_level_or_oblique_and_alternate_in_regulated_lines():
    assert [tone(character) for character in "天人上入"] == [LEVEL, LEVEL, OBLIQUE, OBLIQUE]
    assert alternates("更上一層樓")  # shàng, céng
    assert not alternates("床前明天光")  # qián, tiān


@pytest.mark.parametrize(
    "text, lines",
    [
        ("白日依山盡，黃河入海流。", QUATRAIN[:2]),
        ("白日依山盡/黃河入海流", QUATRAIN[:2]),
        ("Shall I compare thee\nto a summer's day?", ["Shall I compare thee", "to a summer's day?"]),
        ("，。", []),
    ],
)
def test_lines_are_parted_by_what_parts_them(text, lines):
    assert lines_of(text) == lines


# ── Data ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def folder(tmp_path):
    poems = [{"title": "登鸛雀樓", "author": "王之渙", "lines": QUATRAIN}, {"title": "靜夜思", "lines": OTHER}]
    for split in ("train", "validation"):
        text = "".join(json.dumps(poem, ensure_ascii=False) + "\n" for poem in poems)
        (tmp_path / f"{split}.jsonl").write_text(text, encoding="utf-8")
    return tmp_path


def test_what_is_given_makes_the_examples(folder):
    next_lines = load_verse(str(folder), "train", "lines", False)
    assert len(next_lines) == 6 and next_lines[1]["source"] == "/".join(QUATRAIN[:2])
    assert next_lines[1]["target"] == QUATRAIN[2] and next_lines[1]["references"] == [QUATRAIN[2]]
    first = load_verse(str(folder), "train", "first", False)[0]
    assert (first["source"], first["target"]) == (QUATRAIN[0], "/".join(QUATRAIN[1:]))
    title = load_verse(str(folder), "train", "title", False)[0]
    assert (title["source"], title["target"]) == ("登鸛雀樓", "/".join(QUATRAIN))


def test_the_collections_own_files_are_read_and_split_by_poem(tmp_path):
    poems = [
        {"title": f"{number}", "paragraphs": [f"{chr(0x4E00 + number)}日依山盡，黃河入海流。"]} for number in range(90)
    ]
    (tmp_path / "poet.tang.0.json").write_text(json.dumps(poems), encoding="utf-8")
    (tmp_path / "authors.tang.json").write_text(json.dumps([{"name": "somebody"}]), encoding="utf-8")
    splits = {split: load_verse(str(tmp_path), split, "lines", False) for split in ("train", "validation", "test")}
    assert sum(map(len, splits.values())) == 90
    assert min(map(len, splits.values())) > 0 and len(splits["train"]) > 45
    assert all(row["target"] == "黃河入海流" for row in splits["test"])


def test_bad_poems_are_reported_together(folder):
    bad = [{"lines": ["", "x"]}, {"lines": ["白□", "日"]}, {"lines": ["，。"]}, {"lines": QUATRAIN}]
    text = "".join(json.dumps({"title": "x", **poem}, ensure_ascii=False) + "\n" for poem in bad)
    (folder / "train.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=r"3 of 4 rows are invalid: row 1 is empty; row 2 has a gap .*; row 3 has no line"):
        load_verse(str(folder), "train", "lines", False)
    assert len(load_verse(str(folder), "train", "lines", True)) == 3
    (folder / "train.jsonl").write_text(json.dumps({"verse": "x"}) + "\n")
    with pytest.raises(UsageError, match="unknown column 'lines'"):
        load_verse(str(folder), "train", "lines", False)


def test_set_phrases_are_there_without_data():
    train, test = (load_verse(None, split, "lines", False) for split in ("train", "test"))
    assert len(train) > 10_000 and len(test) > 1000
    assert not {*train["source"]} & {*test["source"]}
    assert all(size(row["source"]) == size(row["target"]) == 2 for row in test)


# ── Metrics ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_form_is_kept_by_as_many_lines_of_as_many_characters():
    references = [["白日依山盡"], ["黃河入海流/欲窮千里目"]]
    kept = form_statistics(["一二三四五", "一二三四五/一二三四"], references)[:, 0]
    assert kept.tolist() == [1.0, 0.0]


def test_rhymes_are_asked_of_even_lines_that_were_written():
    assert rhymes(QUATRAIN[:3], QUATRAIN[3]) == (1, 1)
    assert rhymes(QUATRAIN[:3], OTHER[3]) == (0, 1)
    assert rhymes(QUATRAIN[:3], "更上一層流") == (0, 1)  # the same word again is no rhyme
    assert rhymes(QUATRAIN[:2], QUATRAIN[2]) == (0, 0)  # the third line need not
    assert rhymes(QUATRAIN[:1], "/".join(QUATRAIN[1:])) == (1, 1)
    assert rhymes([], "/".join(OTHER)) == (1, 1)


def test_tones_are_counted_in_lines_that_are_long_enough():
    assert tone_statistics(["更上一層樓/床前明天光", "一心"], [["x"], ["y"]]).tolist() == [[1.0, 2.0], [0.0, 0.0]]


# ── The form in a search ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def vocabulary() -> Tokenizer:
    texts = ["/".join(QUATRAIN), "/".join(OTHER), "a, b 1"]
    return Tokenizer.train(texts, VocabularyConfig(kind="character", size=100, min_frequency=0))


def allowed(form: VerseConstraint, vocabulary: Tokenizer, written: list[int], sentence: int = 0) -> set[str]:
    scores = torch.zeros(1, len(vocabulary))
    mask_invalid(scores, torch.tensor([written], dtype=torch.long), SearchConfig(), form, torch.tensor([sentence]))
    return {vocabulary.display_tokens([int(token)])[0] for token in (scores[0] > NEG_INF).nonzero()}


def test_a_line_has_its_characters_and_then_ends(vocabulary):
    form = VerseConstraint(VerseFeatures.of(vocabulary), [QUATRAIN[:1]], [[2, 1]], rhymed=False)
    han = {piece for piece in vocabulary.display_tokens(range(len(vocabulary))) if size(piece) == 1}
    start, one, two, mark = vocabulary.encode(["白日/"])[0]
    assert allowed(form, vocabulary, []) == han | {"·"}
    assert allowed(form, vocabulary, [start]) == han
    assert allowed(form, vocabulary, [start, one]) == han
    assert allowed(form, vocabulary, [start, one, two]) == {"/"}
    assert allowed(form, vocabulary, [start, one, two, mark]) == han
    assert allowed(form, vocabulary, [start, one, two, mark, one]) == {"</s>"}


def test_even_lines_end_on_the_second_lines_rhyme(vocabulary):
    signs = VerseFeatures.of(vocabulary)
    han = {piece for piece in vocabulary.display_tokens(range(len(vocabulary))) if size(piece) == 1}
    fourth = VerseConstraint(signs, [OTHER[:3], QUATRAIN[:3], QUATRAIN[:2]], [[1], [1], [1]], rhymed=True)
    assert allowed(fourth, vocabulary, [], 0) == {one for one in han if rhyme(one) == rhyme("霜")} - {"霜"} | {"·"}
    assert "樓" in allowed(fourth, vocabulary, [], 1) and "霜" not in allowed(fourth, vocabulary, [], 1)
    assert allowed(fourth, vocabulary, [], 2) == han | {"·"}
    # A whole poem: the second line is written too, and the fourth answers it.
    poem = VerseConstraint(signs, [QUATRAIN[:1]], [[1, 1, 1]], rhymed=True)
    written = vocabulary.encode(["流/目/"])[0]
    assert allowed(poem, vocabulary, written) == {one for one in han if rhyme(one) == rhyme("流")} - {"流"}


@pytest.mark.parametrize("sample", [False, True], ids=["searched", "drawn"])
def test_whatever_the_model_wants_the_poem_keeps_its_form(sample, folder):
    task = Task(Config(data=str(folder), given="first", vocabulary=VocabularyConfig(kind="character", min_frequency=0)))
    examples = task.load("train")
    task.fit(examples)
    model = task.build_model().eval()
    sources = [QUATRAIN[0], OTHER[0], "明月"]
    source = task.read(sources, training=False)
    config = SearchConfig(sample=sample, n_best=3, beam=3, form="rhyme", min_length=60)
    constraint = task.constraint(sources, "rhyme", torch.device("cpu"))
    for given, ranked in zip(sources, model.decoder.search(model.encoder(source), config, constraint), strict=True):
        assert len(ranked) == 3
        for hypothesis in ranked:
            lines = task.written(hypothesis.tokens).split("/")
            assert [size(line) for line in lines] == [len(given)] * 3 == [len(line) for line in lines]
            assert rhymes([given], "/".join(lines)) == (1, 1)


@pytest.mark.parametrize("sample", [False, True], ids=["searched", "drawn"])
def test_a_form_that_finds_no_room_still_ends(sample, folder):
    task = Task(Config(data=str(folder), vocabulary=VocabularyConfig(kind="character", min_frequency=0)))
    task.fit(task.load("train"))
    model = task.build_model().eval()
    sources = [QUATRAIN[0], "白" * 300]
    config = SearchConfig(sample=sample, form="rhyme", max_length=3)
    constraint = task.constraint(sources, "rhyme", torch.device("cpu"))
    found = model.decoder.search(model.encoder(task.read(sources, training=False)), config, constraint)
    assert all(len(best) == 1 and len(best[0].tokens) <= 3 for best in found)


def test_verse_that_is_not_chinese_has_no_form_to_keep(tmp_path):
    for split in ("train", "validation"):
        (tmp_path / f"{split}.jsonl").write_text(json.dumps({"lines": ["Shall I compare thee", "to a day"]}) + "\n")
    task = Task(Config(data=str(tmp_path), vocabulary=VocabularyConfig(kind="character", min_frequency=0)))
    task.fit(task.load("train"))
    with pytest.raises(UsageError, match=r"--form length: .* no Chinese characters; set --form free"):
        task.constraint(["Shall I"], "length", torch.device("cpu"))
    assert task.diversity(["to a day", "to a night"])["distinct-1"] == pytest.approx(100 * 4 / 6)


def test_a_folders_own_splits_are_kept(tmp_path):
    for split, first in zip(("train", "validation", "test"), "天地人", strict=True):
        (tmp_path / f"{split}.json").write_text(json.dumps([{"lines": [first + "日依山盡", "黃河入海流"]}]))
    for split, first in zip(("train", "validation", "test"), "天地人", strict=True):
        assert load_verse(str(tmp_path), split, "lines", False)["source"] == [first + "日依山盡"]


def test_copied_lines_are_counted_over_the_training_poems(folder):
    task = Task(Config(data=str(folder)))
    found = task.diversity([QUATRAIN[1], "一二三四五"])
    assert found["copied lines"] == 50.0 and found["distinct-1"] == 100.0


# ── As it is used ───────────────────────────────────────────────────────────────────────────────────────────


def test_it_trains_evaluates_and_predicts(folder, tmp_path, capsys):
    place = str(tmp_path / "run")
    run.main(["poetry", "train", "tiny", "--data", str(folder), "--run", place, "--vocabulary.min-frequency", "0"])
    run.main(["poetry", "evaluate", place, "--split", "validation"])
    report = json.loads((tmp_path / "run" / "evaluation" / "validation.json").read_text())
    assert report["metrics"]["form"] == 100.0 and report["metrics"]["rhyme"] == 100.0
    assert report["perplexity"] > 1 and "copied lines" in report["diversity"]
    capsys.readouterr()
    run.main(["poetry", "predict", place, "白日依山盡，黃河入海流。", "", "hello", "--seed", "2"])
    first, empty, latin, rest = capsys.readouterr().out.split("\n")
    assert size(first) == len(first) == 5 and (empty, rest) == ("", "") and size(latin) == 5


def test_other_tasks_have_no_form():
    from tasks.translation import PRESETS
    from tasks.translation import Task as Translation

    with pytest.raises(UsageError, match="--form rhyme: only verse has a form"):
        Translation(PRESETS["tiny"]()).constraint(["x"], "rhyme", torch.device("cpu"))


def test_metrics_of_the_references_themselves(folder):
    task = Task(Config(data=str(folder)))
    examples = task.load("validation")
    scores = {metric.name: metric(examples["target"], examples["references"]) for metric in task.metrics_for(examples)}
    assert scores["form"] == 100.0 and scores["rhyme"] == 100.0
