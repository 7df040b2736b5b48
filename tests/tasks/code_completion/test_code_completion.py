"""Code completion: how lines are cut, what is counted, and that nothing of a line is lost on the way."""

import ast
import json
from pathlib import Path

import pytest

import run
from decoders.config import SearchConfig
from tasks.code_completion import Config, Task
from tasks.code_completion.data import HELD_OUT, load_code
from tasks.code_completion.examples import examples, starts
from tasks.code_completion.task import edit_statistics, exact_statistics, f1, identifier_statistics, parses
from tasks.common.errors import UsageError
from tasks.common.inference.evaluation import Predictor
from tasks.common.text.tokenizer import Tokenizer, VocabularyConfig

OWN = Path(__file__).parents[1] / "tasks"
CODE = (OWN / "training.py").read_text()


def test_an_example_is_a_place_in_its_file():
    found = list(examples(CODE, "any", "validation"))
    assert len(found) > 5
    for example in found:
        assert example["source"] + example["target"] in CODE
        assert example["head"].endswith(example["source"].rpartition("\n")[2])
        ast.parse(f"{example['head']}{example['target']}\n{example['tail']}")


@pytest.mark.parametrize("cut", ["line", "rest"])
def test_a_line_is_cut_before_itself_or_before_a_token(cut):
    found = list(examples(CODE, cut, "train"))
    prefixes = [example["source"].rpartition("\n")[2] for example in found]
    assert len(found) > 20 and all(bool(prefix.strip()) == (cut == "rest") for prefix in prefixes)
    if cut == "line":  # with its indentation
        assert any(example["target"].startswith("        ") for example in found)


def test_comments_blanks_and_texts_of_several_lines_are_not_asked_for():
    code = '"""Text\nof lines."""\n\n# a comment\nx = 1  # aside\ny = """a\nb"""\nz = (\n    2\n)\n'
    assert starts(code) == {4: ([0, 2, 4], 7), 7: ([0, 2, 4], None)}
    code = "".join(f"value{number} = call({number})  # the {number}th\n" for number in range(60))
    found = list(examples(code, "any", "train"))
    assert len(found) > 5 and all(row["target"].endswith(")") for row in found)


def test_the_same_file_is_always_cut_alike():
    assert list(examples(CODE, "any", "train")) == list(examples(CODE, "any", "train"))


@pytest.mark.parametrize("code", ["def (", "\0", "print 'python 2'", "", "\ud800 = 1", "if x:\n\ty\n        z"])
def test_what_is_no_python_makes_no_example(code):
    assert list(examples(code, "any", "train")) == []


# ── Data ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_folder_of_files_is_split_by_file_and_bad_ones_are_passed_over():
    splits = {split: load_code(str(OWN), split, "", "", "any", False) for split in ("train", "validation", "test")}
    assert all(len(examples) > 0 for examples in splits.values())
    assert all(len(splits[split]) <= HELD_OUT for split in ("validation", "test"))
    assert not any(splits["train"]["head"]) and any(splits["test"]["head"])


def test_code_x_glues_files_are_read(tmp_path):
    line = "<s> import os <EOL> def f ( x ) : <EOL> return os . path . join ( x , '<STR_LIT>' , <NUM_LIT:1> ) </s>"
    for split in ("train", "dev", "test"):
        (tmp_path / f"{split}.txt").write_text("".join(line.replace("f (", f"f{n} (") + "\n" for n in range(60)))
    found = load_code(str(tmp_path), "validation", "", "", "rest", False)
    assert len(found) > 3 and all("<EOL>" not in row["source"] + row["target"] for row in found)
    lines = ["import os", "return os . path . join ( x , '<STR_LIT>' , <NUM_LIT:1> )"]
    written = [row["source"].rpartition("\n")[2] + row["target"] for row in found]
    assert all(each in lines or each.startswith("def f") for each in written)
    assert [metric.name for metric in Task(Config()).metrics_for(found)][-1] == "identifiers"  # it can't be parsed


def test_tables_of_pairs_keep_their_lines(tmp_path):
    rows = [{"input": "import os\nfor x in y:\n", "gt": "    print(x)"}, {"input": "x =", "gt": " 1"}]
    for split in ("train", "validation"):
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = load_code(str(tmp_path), "train", "input", "gt", "any", False)
    assert found["source"] == ["import os\nfor x in y:\n", "x ="] and found["target"] == ["    print(x)", " 1"]


def test_parallel_files_keep_their_indentation(tmp_path):
    for name, text in {"input": "if x:\ny = \n", "gt": "    return 1\n2\n"}.items():
        (tmp_path / f"train.{name}").write_text(text)
        (tmp_path / f"validation.{name}").write_text(text)
    found = load_code(str(tmp_path), "train", "input", "gt", "any", False)
    assert found["source"] == ["if x:", "y = "] and found["target"] == ["    return 1", "2"]


def test_where_there_is_no_validation_split_a_tenth_of_training_is(tmp_path):
    rows = [{"intent": f"add {number}", "snippet": f"x + {number}"} for number in range(100)]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    train, held = (load_code(str(tmp_path), s, "intent", "snippet", "any", False) for s in ("train", "validation"))
    assert len(train) + len(held) == 100 and 2 < len(held) < 25 and not {*train["source"]} & {*held["source"]}
    with pytest.raises(UsageError, match="has no test split"):
        load_code(str(tmp_path), "test", "intent", "snippet", "any", False)


def test_copies_of_a_file_and_hidden_folders_are_in_no_second_split(tmp_path):
    for number in range(20):
        (tmp_path / f"copy{number}.py").write_text("import os\nx = os.path.join(1, 2)\ny = x\nz = y\n" * 30)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "other.py").write_text("a = 1\n" * 50)
    found = []
    for split in ("train", "validation", "test"):
        try:
            found.append(load_code(str(tmp_path), split, "", "", "any", False))
        except UsageError:
            continue
    assert len(found) == 1 and not any("a = 1" in text for text in found[0]["target"])


def test_a_folder_without_python_is_one_line(tmp_path):
    with pytest.raises(UsageError, match="has no train split"):
        load_code(str(tmp_path), "train", "input", "gt", "any", False)
    (tmp_path / "one.py").write_text("x = 1\n")
    with pytest.raises(UsageError, match=r"no Python file is left for this split|no line of Python"):
        for split in ("train", "validation", "test"):
            load_code(str(tmp_path), split, "input", "gt", "any", False)


# ── Tokens and counts ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("text", [CODE, "\tif x:\r\n\t\ty  \n", "größe = '你好 🦊'", "   ", "x  =  1 "])
def test_subwords_of_bytes_lose_nothing(text):
    vocabulary = Tokenizer.train([CODE], VocabularyConfig(kind="byte", size=500))
    vocabulary = Tokenizer.from_state_dict(json.loads(json.dumps(vocabulary.state_dict())))
    (ids,) = vocabulary.encode([text])
    assert vocabulary.decode(ids) == text
    assert len(vocabulary.display_tokens(ids)) == len(ids) and " " not in "".join(vocabulary.display_tokens(ids))


def test_what_is_written_keeps_its_indentation_and_is_one_line():
    task = Task(Config(vocabulary=VocabularyConfig(kind="byte", size=300)))
    task.tokenizer = Tokenizer.train([CODE], task.config.vocabulary)
    assert task.written(task.tokenizer.encode(["    return\n  x  "])[0]) == "    return   x"


def test_scores_are_as_published():
    assert exact_statistics(["  x  = 1"], [["y", "x = 1"]])[0, 0] == 1
    assert exact_statistics(["x=1"], [["x = 1"]])[0, 0] == 0
    assert edit_statistics(["kitten"], [["sitting"]])[0, 0] == pytest.approx(
        1 - 5 / 13
    )  # two substitutions count twice
    assert identifier_statistics(["f('a name')"], [['f("name")']]).tolist() == [[1, 1, 1]]
    counts = identifier_statistics(["self.path = path"], [["self.name = path if path else None"]])
    assert counts.tolist() == [[3, 3, 4]]  # no keyword is a name, None neither
    assert f1(counts.sum(axis=0)) == pytest.approx(600 / 7)


def test_a_completion_is_judged_in_its_place():
    task = Task(Config(data=str(OWN)))
    found = task.load("validation")
    parse = next(metric for metric in task.metrics_for(found) if metric.name == "parses")
    references = found["references"]
    assert parse(found["target"], references) == 100.0
    assert parse([") ("] * len(found), references) < 20.0
    assert parses("x = 1") and not parses("x = (") and not parses("\0")


def test_the_rule_repeats_the_last_whole_line():
    task = Task(Config(data=str(OWN)))
    found = task.load("validation")
    for source, line in zip(found["source"], task.baselines(found)["repeat the last line"], strict=True):
        assert line.strip() and line in source.split("\n")[:-1] and not source.endswith(line)


# ── As it is used ───────────────────────────────────────────────────────────────────────────────────────────


def test_it_trains_evaluates_and_predicts(tmp_path, capsys):
    place = tmp_path / "run"
    run.main(["code_completion", "train", "tiny", "--data", str(OWN), "--run", str(place)])
    run.main(["code_completion", "evaluate", str(place)])
    report = json.loads((place / "evaluation" / "test.json").read_text())
    assert {"edit_similarity", "exact_match", "identifiers", "parses"} <= set(report["metrics"])
    assert report["baselines"]["repeat the last line"]["edit_similarity"] > 10
    begun, binary = tmp_path / "begun.py", tmp_path / "binary"
    begun.write_text("import os\n\n\ndef main():\n    path = os." * 3000)
    binary.write_bytes(b"\0\1")
    capsys.readouterr()
    run.main(["code_completion", "predict", str(place), str(begun), str(binary), "", "--plot-dir", str(tmp_path)])
    out, err = capsys.readouterr()
    assert len(out.split("\n")) == 4 and "input 2 holds a NUL character" in err and "input 3 is empty" in err
    assert (tmp_path / "0001.png").is_file()


@pytest.mark.parametrize(
    "source, text, possible",
    [
        ("import os\nx = os.path.join(a, ", "b)", True),
        ("import os\nx = os.path.join(a, ", "b]", False),
        ("x = ", "'never closed", False),
        ("x = f(\n", "    1,", True),  # unfinished, not wrong
        ("def f():\n", "    return 1", True),
        ("def f():\n", "return 1", False),
        ("    if a:\n        b = 1\n", "    else:", True),
        ("    ) in c\n    d = 2\n", "    e = d", True),  # the context begins in the midst of something
        ("        b = 1\n", "    def g(self):", True),  # and ends what it was part of
        ("x = 1\n", "else:", False),
    ],
)
def test_what_can_not_be_python_comes_last(source, text, possible):
    assert Task(Config()).possible(source, text) == possible


def test_most_of_what_people_wrote_is_possible():
    task = Task(Config(data=str(OWN)))
    found = task.load("test")
    judged = [task.possible(source, target) for source, target in zip(found["source"], found["target"], strict=True)]
    assert sum(judged) > 0.9 * len(judged)


def test_of_a_beam_what_is_possible_comes_first(monkeypatch):
    task = Task(Config(data=str(OWN), vocabulary=VocabularyConfig(kind="byte", size=300)))
    examples = task.load("validation").select(range(3))
    task.fit(examples)
    writer = Predictor(task, [task.build_model().eval()])
    config = SearchConfig(beam=4, n_best=4, max_length=5)
    everything = writer.write(examples["source"], config)
    last = {task.written(ranked[-1].tokens) for ranked in everything}
    monkeypatch.setattr(task, "possible", lambda source, text: text in last)
    best = writer.write(examples["source"], SearchConfig(beam=4, max_length=5))
    assert [task.written(one.tokens) in last for (one,) in best] == [True] * 3
