"""A source is out of the domain if the model is less sure of its sentence than of nearly all of validation."""

import dataclasses

import pytest

from decoders.config import CTCDecoderConfig
from tasks.common.inference.domain import Domain, Familiarity, greedy_search, measure, measure_hypotheses
from tasks.common.inference.predictor import Predictor
from tasks.translation import PRESETS
from tasks.translation.task import Translation as Task


def make_domain(num_sources: int) -> Domain:
    quantiles = {"0.0": -1.0, "0.01": -0.8, "0.05": -0.5, "0.25": -0.3, "0.5": -0.2}
    return Domain(num_sources, quantiles, max_unknown=0.25)


@pytest.mark.parametrize(("num_sources", "limit", "unknown"), [(500, -0.8, 0.25), (20, -1.8, 0.625)])
def test_the_limits_are_those_of_validation_or_with_few_sources_beyond_its_extreme_values(num_sources, limit, unknown):
    domain = make_domain(num_sources)
    assert domain.problem(Familiarity(limit + 0.01, unknown)) is None
    assert "nats per token" in (domain.problem(Familiarity(limit - 0.01, unknown)) or "")
    assert f"{100 * unknown + 2:.0f} % of its tokens are unknown, in" in (
        domain.problem(Familiarity(0.0, unknown + 0.02)) or ""
    )


def test_an_input_of_several_segments_has_their_mean():
    parts = [Familiarity(-1.0, 0.0), Familiarity(-3.0, 0.5)]
    assert Familiarity.mean(parts) == Familiarity(-2.0, 0.25)


def test_statistics_are_measured_saved_and_loaded_and_flag_a_hundredth_of_their_own_split(tmp_path):
    task = Task(PRESETS["tiny"]())
    examples = task.load("validation").select(range(200))
    task.fit(examples)
    predictor = Predictor(task, [task.build_model().eval()])
    lengths = task.source_lengths(examples["source"])
    domain = Domain.measure(predictor, examples["source"], lengths)
    assert Domain.load(tmp_path) is None
    domain.save(tmp_path)
    assert Domain.load(tmp_path) == domain
    assert domain.num_sources == 200 and domain.max_unknown == 0.0
    values = list(domain.log_prob.values())
    assert values == sorted(values) and values[-1] < 0
    problems = [domain.problem(each) for each in measure(predictor, examples["source"], lengths)]
    assert sum(problem is not None for problem in problems) == 1


@pytest.mark.parametrize("kind", ["recurrent", "ctc"])
def test_the_sentences_of_a_greedy_search_are_not_generated_again(kind):
    config = PRESETS["tiny"]()
    if kind == "ctc":
        config = dataclasses.replace(config, decoder=CTCDecoderConfig(), attention=None)
    task = Task(config)
    examples = task.load("validation").select(range(20))
    task.fit(examples)
    predictor = Predictor(task, [task.build_model().eval()])
    sources, lengths = examples["source"][:], task.source_lengths(examples["source"])
    greedy = dataclasses.replace(greedy_search(task), length_penalty=1.0)
    hypotheses = predictor.generate_all(sources, lengths, greedy)
    known = measure_hypotheses(predictor, sources, hypotheses, greedy)
    measured = measure(predictor, sources, lengths)
    assert known is not None
    assert [each.log_prob for each in known] == pytest.approx([each.log_prob for each in measured])
    others = ((predictor, dataclasses.replace(greedy, beam=2)), (Predictor(task, predictor.models * 2), greedy))
    assert [measure_hypotheses(one, sources, hypotheses, search) for one, search in others] == [None, None]
