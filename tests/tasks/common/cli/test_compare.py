"""The table of compare: one seed has an interval over sentences, several have the range of their scores."""

from tasks.common.cli.compare import COLUMNS, make_table


def report(bleu: float, chrf: float) -> dict:
    costs = {key: None for _, key, _ in COLUMNS}
    return {"metrics": {"bleu": bleu, "chrf": chrf}, "intervals": {"bleu": (bleu - 1, bleu + 1)}, **costs}


def test_one_seed_has_the_interval_of_its_sentences():
    (row,) = make_table({"general": [report(50.0, 60.0)]}, "bleu", "chrf")
    assert row == {"variant": "general", "bleu": "50.00", "95 % interval": "49.00 to 51.00", "chrf": "60.00"}


def test_several_seeds_have_the_range_of_their_scores_which_ends_at_a_score():
    (row,) = make_table({"general": [report(98.0, 90.0), report(100.0, 92.0)]}, "bleu", "chrf")
    assert row["bleu"] == "99.00" and row["range of 2 seeds"] == "98.00 to 100.00" and row["chrf"] == "91.00"
    assert "95 % interval" not in row
