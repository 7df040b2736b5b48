"""Error messages: settings are shown as flags, and what the user has typed stays as it is."""

import pytest

from tasks.common.cli.messages import with_flags
from tasks.common.training.attention_monitor import DiagonalityMonitor
from tasks.dialogue import Config as DialogueConfig
from tasks.translation import Config


@pytest.mark.parametrize(
    "message, shown",
    [
        ("decoder.ctc_weight is 2; allowed is 0 to 1", "--decoder.ctc-weight is 2; allowed is 0 to 1"),
        ("lower train.lr, or set train.precision no", "lower --train.lr, or set --train.precision no"),
        ("choose another decoder.kind.", "choose another --decoder.kind."),
        ("unknown setting 'decoder.num_heads'", "unknown setting 'decoder.num_heads'"),
        ("a tokenizer's file, as in train.lr's", "a tokenizer's file, as in --train.lr's"),
        ("runs/train.lr/config.json is missing", "runs/train.lr/config.json is missing"),
        ("train.lr/config.json is missing", "train.lr/config.json is missing"),
        ("train.lr.json is missing", "train.lr.json is missing"),
        ("--decoder.copy has no effect", "--decoder.copy has no effect"),
        ("source and target are both 'de'", "--source and --target are both 'de'"),
        ("data is not set", "--data is not set"),
        ("the source is empty", "the source is empty"),
        ("config.json is missing", "config.json is missing"),
    ],
)
def test_settings_are_shown_as_flags_but_not_in_quotes_and_paths(message, shown):
    assert with_flags(message, Config) == shown


def test_settings_of_a_task_without_a_group_are_shown_as_flags():
    assert with_flags("context_turns is 0", DialogueConfig) == "--context-turns is 0"


def test_what_was_typed_stays_as_it_is():
    assert with_flags("there is no run in train.lr", Config, ["--init-from", "train.lr"]) == (
        "there is no run in train.lr"
    )
    assert with_flags("train.lr=1,2: train.lr is 1", Config, ["--vary=train.lr=1,2"]) == (
        "train.lr=1,2: --train.lr is 1"
    )
    assert with_flags("data is a run of 'x'", Config, ["data"], flat="search") == "data is a run of 'x'"


def test_the_search_has_flags_without_a_prefix_in_evaluate_and_predict():
    assert with_flags("search.beam is 0", Config, flat="search") == "--beam is 0"
    assert with_flags("search.beam is 0", Config) == "--search.beam is 0"


def test_warnings_during_training_name_flags():
    warning = DiagonalityMonitor().warning({"diagonality": 0.1}, 20)
    assert warning is not None and warning.endswith(
        "try --decoder.ctc-weight 0.3, --attention.score location, or --attention.guidance-weight 1"
    )
