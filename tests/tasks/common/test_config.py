"""Settings without effect given those of other groups, and those that do not concern features."""

from dataclasses import replace
from typing import Any

import pytest

from attention.config import AttentionConfig
from decoders.config import (
    AttentionTransducerDecoderConfig,
    CTCDecoderConfig,
    RecurrentDecoderConfig,
    S2VTDecoderConfig,
    SearchConfig,
    TransducerDecoderConfig,
    TransformerDecoderConfig,
)
from tasks.common.config import Config, report_settings_of_raw_data
from tasks.common.data.config import BatchConfig

ONLY_LABEL_SYNCHRONOUS = {"sample": True, "no_repeat_ngram": 2, "min_length": 2, "length_penalty": 0.7}


def unused(**settings: Any) -> dict[str, str]:
    return Config(**settings).unused_settings()


@pytest.mark.parametrize("decoder", [CTCDecoderConfig(), TransducerDecoderConfig(), AttentionTransducerDecoderConfig()])
def test_settings_that_a_frame_synchronous_decoder_cannot_follow_are_unused(decoder):
    attention = AttentionConfig() if decoder.uses_attention else None
    settings = {"decoder": decoder, "attention": attention}
    reasons = unused(**settings, search=SearchConfig(**ONLY_LABEL_SYNCHRONOUS))
    for name in ONLY_LABEL_SYNCHRONOUS:
        assert reasons[f"search.{name}"] == f"decoder.kind is {decoder.kind}"
        assert f"search.{name}" not in unused(**settings, search=SearchConfig(beam=7, max_length=9, n_best=3))
        assert f"search.{name}" not in unused(search=SearchConfig(**ONLY_LABEL_SYNCHRONOUS))
    assert "search.coverage_penalty" in unused(**settings, search=SearchConfig(coverage_penalty=0.2))


def test_the_weight_of_ctc_in_the_search_needs_one_in_training():
    assert unused()["search.ctc_weight"] == "decoder.ctc_weight is 0"
    for decoder in (RecurrentDecoderConfig(ctc_weight=0.3), TransformerDecoderConfig(ctc_weight=0.3)):
        assert "search.ctc_weight" not in unused(decoder=decoder)
    for decoder in (S2VTDecoderConfig(), CTCDecoderConfig()):
        assert unused(decoder=decoder, attention=None)["search.ctc_weight"] == f"decoder.kind is {decoder.kind}"


def test_the_coverage_penalty_needs_attention_weights():
    assert "search.coverage_penalty" not in unused()
    assert unused(attention=AttentionConfig(score="none"))["search.coverage_penalty"] == "attention.score is none"
    assert unused(decoder=S2VTDecoderConfig(), attention=None)["search.coverage_penalty"] == "decoder.kind is s2vt"


def test_invalid_rows_are_only_skipped_in_given_data():
    assert unused()["skip_invalid"] == "data is not set"
    assert "skip_invalid" not in unused(data="x")


def test_changed_settings_that_features_do_not_depend_on_are_reported(capsys):
    config = Config(batch=BatchConfig(max_sources=3))
    report_settings_of_raw_data(config, ["batch.max_target_size", "search.beam"])
    assert capsys.readouterr().err == ""
    report_settings_of_raw_data(config, ["batch.max_sources", "search.beam"])
    assert capsys.readouterr().err == "the data are features: batch.max_sources has no effect\n"
    report_settings_of_raw_data(replace(config, search=SearchConfig(beam=2)), ["batch.max_sources", "search.beam"])
    assert capsys.readouterr().err == "the data are features: batch.max_sources, search.beam have no effect\n"
