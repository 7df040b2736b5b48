"""Code completion: examples, data, tokens, metrics, and hypotheses that can be Python."""

import ast
import json
from pathlib import Path

import pytest

from decoders.base import Hypothesis
from decoders.config import SearchConfig
from tasks import run
from tasks.code_completion import Config, validity
from tasks.code_completion.data import MAX_EVAL_EXAMPLES, load_code
from tasks.code_completion.examples import make_examples, token_columns
from tasks.code_completion.metrics import edit_similarity_stats, exact_match_stats, f1_percent, identifier_stats
from tasks.code_completion.task import CodeCompletion as Task
from tasks.code_completion.validity import parses
from tasks.common.errors import UsageError
from tasks.common.inference.predictor import Predictor
from tasks.common.text.config import VocabularyConfig
from tasks.common.text.tokenizer import Tokenizer

PROJECT = Path(__file__).parents[3] / "tasks"
FOLDER = str(PROJECT / "common" / "inference")  # few files, which have examples of all splits
CODE = (PROJECT / "common" / "training" / "trainer.py").read_text()


def test_an_example_is_a_part_of_its_file():
    found = list(make_examples(CODE, "any", "validation"))
    assert len(found) > 5
    for example in found:
        assert example["source"] + example["target"] in CODE
        assert example["head"].endswith(example["source"].rpartition("\n")[2])
        ast.parse(f"{example['head']}{example['target']}\n{example['tail']}")


@pytest.mark.parametrize("completion", ["line", "rest"])
def test_a_whole_line_or_the_rest_after_a_token_is_completed(completion):
    found = list(make_examples(CODE, completion, "train"))
    prefixes = [example["source"].rpartition("\n")[2] for example in found]
    assert len(found) > 20 and all(bool(prefix.strip()) == (completion == "rest") for prefix in prefixes)
    if completion == "line":  # with its indentation
        assert any(example["target"].startswith("        ") for example in found)


def test_comments_blank_lines_and_strings_of_several_lines_are_not_completed():
    code = '"""Text\nof lines."""\n\n# a comment\nx = 1  # aside\ny = """a\nb"""\nz = (\n    2\n)\n'
    assert token_columns(code) == {4: ([0, 2, 4], 7), 7: ([0, 2, 4], None)}
    code = "".join(f"value{number} = call({number})  # the {number}th\n" for number in range(60))
    found = list(make_examples(code, "any", "train"))
    assert len(found) > 5 and all(row["target"].endswith(")") for row in found)


def test_the_same_file_always_has_the_same_examples():
    assert list(make_examples(CODE, "any", "train")) == list(make_examples(CODE, "any", "train"))


@pytest.mark.parametrize("code", ["def (", "\0", "print 'python 2'", "\ud800 = 1", "if x:\n\ty\n        z"])
def test_invalid_python_has_no_examples(code):
    with pytest.raises(SyntaxError):
        next(make_examples(code, "any", "train"))


# ── Data ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_folder_is_split_by_file_and_invalid_files_are_skipped():
    splits = {split: load_code(str(PROJECT), split) for split in ("train", "validation", "test")}
    assert all(len(examples) > 0 for examples in splits.values())
    assert all(len(splits[split]) <= MAX_EVAL_EXAMPLES for split in ("validation", "test"))
    assert not any(splits["train"]["head"]) and any(splits["test"]["head"])


def test_the_number_of_files_that_are_not_valid_python_is_said_once(tmp_path, capsys):
    folder = tmp_path / "train"
    folder.mkdir()
    (folder / "good.py").write_text("".join(f"value{number} = call({number})\n" for number in range(60)))
    (folder / "empty.py").touch()
    assert set(load_code(str(tmp_path), "train").column_names) == {"source", "target", "head", "tail", "references"}
    assert capsys.readouterr().err == ""
    (folder / "latin.py").write_bytes(b"x = '\xe9'\n")
    (folder / "old.py").write_text("print 'python 2'\n")
    for _ in range(2):  # made, then read from the cache
        found = load_code(str(tmp_path), "train")
    assert all(found["source"]) and "skipped" not in found.column_names
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{folder}: 2 of 4 files are not valid in Python 3." in line and line.endswith(f"{folder / 'latin.py'}")


def test_files_of_codexglue_are_read(tmp_path):
    line = "<s> import os <EOL> def f ( x ) : <EOL> return os . path . join ( x , '<STR_LIT>' , <NUM_LIT:1> ) </s>"
    for split in ("train", "dev", "test"):
        (tmp_path / f"{split}.txt").write_text("".join(line.replace("f (", f"f{n} (") + "\n" for n in range(60)))
    found = load_code(str(tmp_path), "validation", completion="rest")
    assert len(found) > 3 and all("<EOL>" not in row["source"] + row["target"] for row in found)
    lines = ["import os", "return os . path . join ( x , '<STR_LIT>' , <NUM_LIT:1> )"]
    completed = [row["source"].rpartition("\n")[2] + row["target"] for row in found]
    assert all(each in lines or each.startswith("def f") for each in completed)
    assert [metric.name for metric in Task(Config()).metrics_for(found)][
        -1
    ] == "identifiers"  # masked code cannot be parsed


def test_tables_of_pairs_keep_their_lines(tmp_path):
    rows = [{"input": "import os\nfor x in y:\n", "gt": "    print(x)"}, {"input": "x =", "gt": " 1"}]
    for split in ("train", "validation"):
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = load_code(str(tmp_path), "train")
    assert found["source"] == ["import os\nfor x in y:\n", "x ="] and found["target"] == ["    print(x)", " 1"]


def test_the_part_of_a_line_cannot_be_chosen_for_pairs(tmp_path):
    (tmp_path / "train.jsonl").write_text(json.dumps({"input": "x =", "gt": " 1"}) + "\n")
    with pytest.raises(UsageError, match=r"--completion line: .* has pairs, which are used unchanged"):
        load_code(str(tmp_path), "train", completion="line")


def test_parallel_files_keep_their_indentation(tmp_path):
    for name, text in {"input": "if x:\ny = \n", "gt": "    return 1\n2\n"}.items():
        (tmp_path / f"train.{name}").write_text(text)
        (tmp_path / f"validation.{name}").write_text(text)
    found = load_code(str(tmp_path), "train")
    assert found["source"] == ["if x:", "y = "] and found["target"] == ["    return 1", "2"]


def test_without_a_validation_split_a_tenth_of_training_is_held_out(tmp_path):
    rows = [{"intent": f"add {number}", "snippet": f"x + {number}"} for number in range(100)]
    for split, part in (("train", rows), ("test", rows[:5])):  # as in CoNaLa
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    columns = {"source": "intent", "target": "snippet"}
    train, validation = (load_code(str(tmp_path), split, **columns) for split in ("train", "validation"))
    assert len(train) + len(validation) == 100 and 2 < len(validation) < 25
    assert not {*train["source"]} & {*validation["source"]}
    assert len(load_code(str(tmp_path), "test", **columns)) == 5


def test_copies_of_a_file_are_in_one_split_and_hidden_folders_are_skipped(tmp_path):
    for number in range(20):
        (tmp_path / f"copy{number}.py").write_text("import os\nx = os.path.join(1, 2)\ny = x\nz = y\n" * 30)
    for number in range(3):
        (tmp_path / f"other{number}.py").write_text(f"def f{number}(x):\n    return x\n" * 30)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "other.py").write_text("a = 1\n" * 50)
    texts = [{*load_code(str(tmp_path), split)["source"]} for split in ("train", "validation", "test")]
    assert [any("import os" in text for text in each) for each in texts].count(True) == 1
    assert not any("a = 1" in text for each in texts for text in each)


def test_a_folder_without_python_is_refused(tmp_path):
    with pytest.raises(UsageError, match="the folder is empty"):
        load_code(str(tmp_path), "train")
    (tmp_path / "one.py").write_text("x = 1\n")
    with pytest.raises(UsageError, match="1 rows can't be divided into 3 splits"):
        for split in ("train", "validation", "test"):
            load_code(str(tmp_path), split)


# ── Tokens and metrics ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("text", [CODE, "\tif x:\r\n\t\ty  \n", "größe = '你好 🦊'", "   ", "x  =  1 "])
def test_a_byte_level_vocabulary_loses_nothing(text):
    tokenizer = Tokenizer.train([CODE], VocabularyConfig(kind="byte", size=500))
    tokenizer = Tokenizer.from_state_dict(json.loads(json.dumps(tokenizer.state_dict())))
    (ids,) = tokenizer.encode([text])
    assert tokenizer.decode(ids) == text
    assert len(tokenizer.display_tokens(ids)) == len(ids) and " " not in "".join(tokenizer.display_tokens(ids))


def test_detokenized_code_keeps_its_indentation_and_is_one_line():
    task = Task(Config(vocabulary=VocabularyConfig(kind="byte", size=300)))
    task.tokenizer = Tokenizer.train([CODE], task.config.vocabulary)
    assert task.detokenize(task.tokenizer.encode(["    return\n  x  "])[0]) == "    return   x"


def test_metrics_reproduce_hand_computed_values():
    assert exact_match_stats(["  x  = 1"], [["y", "x = 1"]])[0, 0] == 1
    assert exact_match_stats(["x=1"], [["x = 1"]])[0, 0] == 0
    assert edit_similarity_stats(["kitten"], [["sitting"]])[0, 0] == pytest.approx(
        1 - 5 / 13
    )  # two substitutions count twice
    assert identifier_stats(["f('a name')"], [['f("name")']]).tolist() == [[1, 1, 1]]
    counts = identifier_stats(["self.path = path"], [["self.name = path if path else None"]])
    assert counts.tolist() == [[3, 3, 4]]  # keywords do not count, nor does None
    assert f1_percent(counts.sum(axis=0)) == pytest.approx(600 / 7)


def test_a_completion_is_parsed_in_its_statement():
    task = Task(Config(data=FOLDER))
    found = task.load("validation")
    parse = next(metric for metric in task.metrics_for(found) if metric.name == "parses")
    references = found["references"]
    assert parse(found["target"], references) == 100.0
    assert parse([") ("] * len(found), references) < 20.0
    assert parses("x = 1") and not parses("x = (") and not parses("\0")


def test_the_baseline_repeats_the_last_complete_line():
    task = Task(Config(data=FOLDER))
    found = task.load("validation")
    for source, line in zip(found["source"], task.report.baselines(found)["repeat the last line"], strict=True):
        assert line.strip() and line in source.split("\n")[:-1] and not source.endswith(line)


# ── Command line ───────────────────────────────────────────────────────────────────────────────────────────


def test_it_trains_evaluates_and_predicts(tmp_path, capsys):
    run_folder = tmp_path / "run"
    run.main(["code_completion", "train", "tiny", "--data", FOLDER, "--run", str(run_folder)])
    run.main(["code_completion", "evaluate", str(run_folder)])
    report = json.loads((run_folder / "evaluation" / "test.json").read_text())
    assert {"edit_similarity", "exact_match", "identifiers", "parses"} <= set(report["metrics"])
    assert report["baselines"]["repeat the last line"]["edit_similarity"] > 10
    unfinished, binary = tmp_path / "unfinished.py", tmp_path / "binary"
    unfinished.write_text("import os\n\n\ndef main():\n    path = os." * 100)
    binary.write_bytes(b"\0\1")
    capsys.readouterr()
    inputs = [str(unfinished), str(binary), ""]
    with pytest.raises(SystemExit, match="1"):
        run.main(["code_completion", "predict", str(run_folder), *inputs, "--plot-dir", str(tmp_path / "plots")])
    out, err = capsys.readouterr()
    assert len(out.split("\n")) == 4 and "input 2 contains a NUL character" in err and "input 3 is empty" in err
    assert len(list((tmp_path / "plots").glob("*.png"))) == 1


@pytest.mark.parametrize(
    "source, text, is_valid",
    [
        ("import os\nx = os.path.join(a, ", "b)", True),
        ("import os\nx = os.path.join(a, ", "b]", False),
        ("x = ", "'never closed", False),
        ("x = f(\n", "    1,", True),  # unfinished, not wrong
        ("def f():\n", "    return 1", True),
        ("def f():\n", "return 1", False),
        ("    if a:\n        b = 1\n", "    else:", True),
        ("    ) in c\n    d = 2\n", "    e = d", True),  # the context begins in the middle of a statement
        ("        b = 1\n", "    def g(self):", True),  # and the line ends its block
        ("x = 1\n", "else:", False),
    ],
)
def test_lines_that_cannot_be_python_after_their_source_are_recognized(source, text, is_valid):
    assert Task(Config()).can_complete(source, text) == is_valid


def test_a_long_source_is_checked_once_and_not_from_each_of_its_lines(monkeypatch):
    parsed = []
    monkeypatch.setattr(validity, "is_valid_prefix", lambda code: parsed.append(code) or False)
    source = ")\n" * 5_000
    for hypothesis in ("a", "b", "c"):
        assert validity.code_context(source, hypothesis) == f"{hypothesis}\n"
    assert len(parsed) == validity.MAX_CONTEXT_LINES


def test_most_lines_of_real_code_are_valid():
    task = Task(Config(data=FOLDER))
    found = task.load("test")
    pairs = zip(found["source"], found["target"], strict=True)
    is_valid = [task.can_complete(source, target) for source, target in pairs]
    assert sum(is_valid) > 0.9 * len(is_valid)


def test_the_best_valid_hypothesis_of_a_beam_is_chosen(monkeypatch):
    task = Task(Config(data=FOLDER, vocabulary=VocabularyConfig(kind="byte", size=300)))
    examples = task.load("validation").select(range(3))
    task.fit(examples)
    predictor = Predictor(task, [task.build_model().eval()])
    config = SearchConfig(beam=4, n_best=4, max_length=5)
    everything = predictor.generate(examples["source"], config)
    last = {task.detokenize(ranked[-1].tokens) for ranked in everything}
    monkeypatch.setattr(task, "can_complete", lambda source, text: text in last)
    best = predictor.generate(examples["source"], SearchConfig(beam=4, max_length=5))
    assert [task.detokenize(one.tokens) in last for (one,) in best] == [True] * 3


def test_valid_hypotheses_keep_their_order():
    task = Task(Config(vocabulary=VocabularyConfig(kind="byte", size=300)))
    task.tokenizer = Tokenizer.train([CODE], task.config.vocabulary)
    texts = ["b]", "b)", "'open", "c)"]
    hypotheses = [Hypothesis(tokens, 0.0) for tokens in task.tokenizer.encode(texts)]
    ranked = task.valid_python_first("f(a, ", hypotheses)
    assert [task.detokenize(each.tokens) for each in ranked] == ["b)", "c)", "b]", "'open"]


def test_settings_of_tables_are_unused_without_data():
    library, tables = Config().unused_settings(), Config(data="x").unused_settings()
    for name in ("source", "target", "skip_invalid"):
        assert library[name] == "data is not set" and name not in tables
