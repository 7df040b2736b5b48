"""Settings of attention: which values are refused, and which settings have no effect with the others."""

import dataclasses
from typing import get_args

import pytest

from attention.build import build_attention, build_attention_losses, build_reinforce_loss
from attention.config import HIDDEN_LAYER_SCORES, AttentionConfig, ScoreName
from attention.fixed_context import FixedContext
from attention.losses import NO_ATTENTION_LOSSES


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_heads": 0}, "attention.num_heads is 0; allowed is 1 or more"),
        ({"hidden_dim": 0}, "attention.hidden_dim is 0; allowed is 1 or more"),
        ({"window_size": 0.0}, "attention.window_size is 0.0; allowed is above 0"),
        ({"gumbel_temperature": 0.0}, "attention.gumbel_temperature is 0.0; allowed is above 0"),
        ({"entropy_weight": -1.0}, "attention.entropy_weight is -1.0; allowed is 0 or more"),
        ({"segment_size": -1}, "attention.segment_size is -1; allowed is 0 or more"),
        ({"coverage_weight": -0.5}, "attention.coverage_weight is -0.5; allowed is 0 or more"),
    ],
    ids=str,
)
def test_an_invalid_setting_is_refused_with_the_allowed_values(settings, message):
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        AttentionConfig(**settings)


def test_heads_that_do_not_divide_are_refused_with_the_name_of_the_setting():
    with pytest.raises(ValueError, match=r"attention\.num_heads is 4, .* 6 .* 8 "):
        build_attention(AttentionConfig(num_heads=4), 6, 8)


FIELDS = {field.name for field in dataclasses.fields(AttentionConfig)}
HARD = {"estimator", "entropy_weight", "gumbel_temperature"}


@pytest.mark.parametrize(
    ("settings", "unused"),
    [
        ({}, {"window_size", "segment_size", *HARD}),
        ({"locality": "local_m"}, {"segment_size", *HARD}),
        ({"hierarchy": "hierarchical"}, {"window_size", *HARD}),
        ({"selection": "hard"}, {"window_size", "segment_size", "gumbel_temperature"}),
        ({"selection": "hard", "estimator": "gumbel"}, {"window_size", "segment_size", "entropy_weight"}),
        ({"score": "dot"}, {"window_size", "segment_size", "hidden_dim", *HARD}),
        ({"score": "dot", "locality": "local_m"}, {"segment_size", "hidden_dim", *HARD}),
        ({"score": "dot", "locality": "local_p"}, {"segment_size", *HARD}),
        ({"score": "dot", "locality": "monotonic"}, {"segment_size", *HARD}),
        ({"score": "none", "num_heads": 4, "locality": "local_m"}, FIELDS - {"score"}),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_unused_settings_are_those_without_an_effect(settings, unused):
    reasons = AttentionConfig(**settings).unused_settings()
    assert set(reasons) == unused
    assert all(reason.startswith("attention.") for reason in reasons.values())


@pytest.mark.parametrize("score", get_args(ScoreName))
def test_the_hidden_units_are_used_by_scores_with_a_hidden_layer_only(score):
    assert ("hidden_dim" not in AttentionConfig(score=score).unused_settings()) == (score in HIDDEN_LAYER_SCORES)


def test_the_reason_names_the_setting_that_makes_another_one_unused():
    reasons = AttentionConfig(score="dot", selection="hard").unused_settings()
    assert reasons == {
        "window_size": "attention.locality is global",
        "gumbel_temperature": "attention.estimator is reinforce",
        "segment_size": "attention.hierarchy is flat",
        "hidden_dim": "attention.score is dot and attention.locality is global",
    }


def test_without_a_score_no_other_setting_has_an_effect():
    config = AttentionConfig(score="none", num_heads=3, selection="hard", locality="local_p", guidance_weight=1.0)
    assert isinstance(build_attention(config, 4, 4), FixedContext)
    assert build_reinforce_loss(config) is None
    assert build_attention_losses(config) == NO_ATTENTION_LOSSES
