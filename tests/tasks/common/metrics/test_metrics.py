"""Metrics of translation equal sacreBLEU's, and the bootstrap distinguishes skill from chance."""

import random
from collections.abc import Sequence

import numpy as np
import pytest
import sacrebleu
from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.significance import PairedTest

from tasks.common.metrics.base import Metric, compute_stats, mean_percent, ratio_percent, stats_of_scores
from tasks.common.metrics.bootstrap import Bootstrap
from tasks.common.metrics.translation import translation_metrics

METRICS = {metric.name: metric for metric in translation_metrics("en")}
SCORERS = {"bleu": BLEU, "bleu_lowercase": lambda: BLEU(lowercase=True), "chrf": CHRF, "ter": TER}
CORPUS = {
    "bleu": sacrebleu.corpus_bleu,
    "bleu_lowercase": lambda *texts: sacrebleu.corpus_bleu(*texts, lowercase=True),
    "chrf": sacrebleu.corpus_chrf,
    "ter": sacrebleu.corpus_ter,
}
WORDS = [
    "a",
    "the",
    "small",
    "large",
    "red",
    "blue",
    "seven",
    "two",
    "above",
    "of",
    "and,",
    "Tür",
    "我们",
    "co-op",
    "x.",
]
EXAMPLES = 150

every_metric = pytest.mark.parametrize("name", METRICS)


def sentence(generator: random.Random) -> str:
    return " ".join(generator.choices(WORDS, k=generator.randrange(3, 13))) + generator.choice((".", "", " ?"))


def sentences(seed: int, count: int = EXAMPLES) -> list[str]:
    generator = random.Random(seed)
    return [sentence(generator) for _ in range(count)]


def system(truth: Sequence[str], errors: float, seed: int) -> list[str]:
    """Translate with this share of wrong words."""
    generator = random.Random(f"system {seed}")
    return [
        " ".join(generator.choice(WORDS) if generator.random() < errors else word for word in text.split())
        for text in truth
    ]


TRUTH = sentences(1)
HYPOTHESES = system(TRUTH, 0.3, seed=1)
REFERENCES = {
    "one": [[text] for text in TRUTH],
    "three": [list(given) for given in zip(TRUTH, system(TRUTH, 0.2, 2), system(TRUTH, 0.5, 3), strict=True)],
    "one to three": [[text, *sentences(row, row % 3)] for row, text in enumerate(TRUTH)],
}
every_number_of_references = pytest.mark.parametrize("references", REFERENCES.values(), ids=REFERENCES)


def streams(references: list[list[str]]) -> list[list[str | None]]:
    """Order references as sacreBLEU does: the first of each sentence, the second of each, and so on."""
    numbers = range(max(map(len, references)))
    return [[given[number] if number < len(given) else None for given in references] for number in numbers]


def stats_of_system(metric: Metric, errors: float, seed: int, truth: Sequence[str] = TRUTH) -> np.ndarray:
    return metric.sufficient_stats(system(truth, errors, seed), [[text] for text in truth])


# ── Values ──────────────────────────────────────────────────────────────────────────────────────────────────


@every_metric
@every_number_of_references
def test_values_equal_those_of_sacrebleu(name, references):
    expected = CORPUS[name](HYPOTHESES, streams(references)).score
    assert METRICS[name](HYPOTHESES, references) == pytest.approx(expected, abs=1e-9)
    assert 0 < expected < 100


@every_metric
def test_a_perfect_translation_is_best_and_an_empty_one_worst(name):
    best, worst = (0.0, 100.0) if name == "ter" else (100.0, 0.0)
    assert METRICS[name](TRUTH, REFERENCES["three"]) == pytest.approx(best)
    assert METRICS[name]([""] * EXAMPLES, REFERENCES["one"]) == pytest.approx(worst)


@pytest.mark.parametrize("name", ["bleu", "bleu_lowercase", "chrf"])
def test_a_missing_reference_counts_as_much_as_a_repeated_one(name):
    repeated = [given + given[:1] * (3 - len(given)) for given in REFERENCES["one to three"]]
    assert METRICS[name](HYPOTHESES, REFERENCES["one to three"]) == pytest.approx(METRICS[name](HYPOTHESES, repeated))


def test_case_counts_for_bleu_and_not_for_its_lowercase_form():
    shouted = [text.upper() for text in TRUTH]
    assert METRICS["bleu"](shouted, REFERENCES["one"]) < 50
    assert METRICS["bleu_lowercase"](shouted, REFERENCES["one"]) == pytest.approx(100)


@every_metric
@every_number_of_references
def test_signatures_equal_those_of_sacrebleu(name, references):
    scorer = SCORERS[name]()
    scorer.corpus_score(HYPOTHESES, streams(references))
    signature = METRICS[name].signature(references)
    assert signature == str(scorer.get_signature())
    numbers = {len(given) for given in references}
    assert signature.startswith("nrefs:var|" if len(numbers) > 1 else f"nrefs:{numbers.pop()}|")
    assert f"version:{sacrebleu.__version__}" in signature


@every_metric
def test_a_signature_depends_on_the_given_references_alone(name):
    signatures = {metric: METRICS[name].signature(REFERENCES[metric]) for metric in REFERENCES}
    METRICS[name](HYPOTHESES, REFERENCES["three"])
    assert METRICS[name].signature(REFERENCES["one"]) == signatures["one"]
    assert len(set(signatures.values())) == 3


@every_metric
@every_number_of_references
def test_a_sum_over_some_sentences_gives_their_metric(name, references):
    metric = METRICS[name]
    table = metric.sufficient_stats(HYPOTHESES, references)
    rows = random.Random(5).sample(range(EXAMPLES), 40)
    expected = metric([HYPOTHESES[row] for row in rows], [references[row] for row in rows])
    assert len(table) == EXAMPLES
    assert metric.aggregate(table[rows].sum(axis=0)) == pytest.approx(expected)


# ── Chance ──────────────────────────────────────────────────────────────────────────────────────────────────


@every_metric
def test_an_interval_contains_the_value_and_depends_on_the_seed_alone(name):
    metric = METRICS[name]
    table = stats_of_system(metric, 0.3, seed=1)
    low, high = Bootstrap(EXAMPLES).interval(metric, table)
    assert low < metric.aggregate(table.sum(axis=0)) < high
    assert Bootstrap(EXAMPLES).interval(metric, table) == (low, high)
    assert Bootstrap(EXAMPLES, seed=6).interval(metric, table) != (low, high)


def test_four_times_as_many_sentences_halve_an_interval():
    metric, truth = METRICS["chrf"], sentences(2, 4 * EXAMPLES)
    table = stats_of_system(metric, 0.3, seed=1, truth=truth)
    widths = []
    for rows in (table[:EXAMPLES], table):
        low, high = Bootstrap(len(rows)).interval(metric, rows)
        widths.append(high - low)
    assert widths[0] / widths[1] == pytest.approx(2, rel=0.25)


@every_metric
def test_a_system_does_not_differ_from_itself(name):
    table = stats_of_system(METRICS[name], 0.3, seed=1)
    result = Bootstrap(EXAMPLES).compare(METRICS[name], table, table)
    assert result["difference"] == 0
    assert result["interval"] == [0, 0]
    assert result["p"] == pytest.approx(1)


@every_metric
def test_a_clearly_better_system_is_found_better(name):
    metric = METRICS[name]
    good, bad = stats_of_system(metric, 0.2, seed=1), stats_of_system(metric, 0.4, seed=2)
    result = Bootstrap(EXAMPLES).compare(metric, good, bad)
    assert result["difference"] == pytest.approx(metric.aggregate(good.sum(axis=0)) - metric.aggregate(bad.sum(axis=0)))
    assert (result["difference"] > 0) == metric.selection_metric.higher_is_better == (name != "ter")
    low, high = result["interval"]
    assert low < result["difference"] < high
    assert low > 0 or high < 0
    assert result["p"] < 0.05
    mirrored = Bootstrap(EXAMPLES).compare(metric, bad, good)
    assert mirrored["difference"] == pytest.approx(-result["difference"])
    assert mirrored["p"] == result["p"]


def test_equally_good_systems_are_rarely_found_different():
    metric, bootstrap = METRICS["bleu"], Bootstrap(EXAMPLES, num_samples=200)
    pairs = [(stats_of_system(metric, 0.3, seed), stats_of_system(metric, 0.3, -seed)) for seed in range(1, 31)]
    found = [bootstrap.compare(metric, *pair)["p"] < 0.05 for pair in pairs]
    assert sum(found) <= 5  # 1.5 are expected; more than 5 come in 0.3 % of such experiments


def peer(metric: str, errors: float) -> tuple[dict, float, list[np.ndarray]]:
    """Compare a system with a slightly worse one: our result, sacreBLEU's p, and both systems' resampled values."""
    better, worse = system(TRUTH, 0.3, 1), system(TRUTH, errors, 2)
    systems = [("baseline", worse), ("system", better)]
    results = PairedTest(systems, {"it": SCORERS[metric]()}, [TRUTH], test_type="bs", n_samples=1000)()[1]
    own = METRICS[metric]
    tables = [own.sufficient_stats(texts, REFERENCES["one"]) for texts in (better, worse)]
    bootstrap = Bootstrap(EXAMPLES)
    result = bootstrap.compare(own, *tables)
    *_, (_, expected) = results.values()
    return result, expected.p_value, [bootstrap.metric_values(own, table) for table in tables]


@pytest.mark.parametrize("name", ["bleu", "chrf"])
@pytest.mark.parametrize("errors", [0.32, 0.34])
def test_resampled_values_give_the_p_of_sacrebleu(name, errors):
    result, expected, (better, worse) = peer(name, errors)
    # sacreBLEU's p of the same samples: sacrebleu.significance._paired_bs_test.
    distances = np.abs(better - worse)
    exceeding = (distances - distances.mean() > abs(result["difference"])).sum()
    assert (exceeding + 1) / 1001 == pytest.approx(expected, abs=0.003)


def test_a_language_without_spaces_has_a_tokenizer_of_its_own():
    bleu = translation_metrics("zh")[0]
    sentence = "一个小的红色的七在一个大的蓝色的二上面"
    assert bleu([sentence], [[sentence]]) == pytest.approx(100.0)
    assert 0 < bleu([sentence], [[sentence.replace("红", "绿")]]) < 100
    assert "tok:zh" in bleu.signature([[sentence]])


@pytest.mark.parametrize(
    ("name", "language"),
    [("zh_CN", "zh"), ("zh-Hans", "zh"), ("zho_Hans", "zh"), ("cmn", "zh"), ("ZH", "zh"), ("jpn", "ja"),
     ("ja_JP.UTF-8", "ja"), ("tha", "th"), ("eng_Latn", "en"), ("deu", "de")],
)  # fmt: skip
def test_the_tokenizer_goes_by_the_language_in_whatever_form_it_is_written(name, language):
    def signature(code: str) -> str:
        return translation_metrics(code)[0].signature([["两名男子在公园里踢足球。"]])

    assert signature(name) == signature(language)
    assert ("tok:13a" in signature(name)) == (language in ("en", "de"))


def test_statistics_that_several_metrics_share_are_computed_once():
    calls = []

    def lengths(hypotheses, references):
        calls.append(hypotheses)
        return stats_of_scores(len(text) / 10 for text in hypotheses)

    def ones(hypotheses, references):
        return stats_of_scores(1.0 for _ in hypotheses)

    metrics = [Metric("a", lengths, mean_percent), Metric("b", ones, mean_percent), Metric("c", lengths, ratio_percent)]
    found = [
        (metric.name, metric.aggregate(stats.sum(axis=0))) for metric, stats in compute_stats(metrics, ["abc"], [[]])
    ]
    assert found == [("a", pytest.approx(30)), ("b", 100), ("c", pytest.approx(30))]
    assert calls == [["abc"]]
