"""Typed flags, kinds and variants, without training."""

import dataclasses

import pytest

from attention.config import AttentionConfig
from decoders.config import RecurrentDecoderConfig, TransformerDecoderConfig
from tasks.common.cli.flags import flag_value, setting_types, typed_settings, unused_settings, without_flags
from tasks.common.cli.kinds import choose_kinds, show_all_kinds
from tasks.common.cli.variants import as_flags
from tasks.image_captioning import PRESETS as IMAGE_PRESETS
from tasks.image_captioning import Config as ImageConfig
from tasks.speech_recognition import PRESETS as SPEECH_PRESETS
from tasks.translation import PRESETS, Config
from tasks.video_to_text import PRESETS as VIDEO_PRESETS


@pytest.mark.parametrize(
    "arguments, value",
    [
        (["--init-from", "a"], "a"),
        (["--init_from=a"], "a"),
        (["--init-from", "a", "--init-from", "b"], "b"),
        (["--init-from", "None"], None),
        (["--init-from-x", "a"], None),
        (["init-from", "a"], None),
    ],
)
def test_the_last_value_of_a_flag_counts(arguments, value):
    assert flag_value(arguments, "init-from") == value


def test_no_is_removed_from_boolean_flags_only():
    types = {"copy": bool, "decoder.copy": bool, "search.no_repeat_ngram": int, "train.no_copy": int}
    typed = ["--no-copy", "--decoder.no-copy", "--search.no-repeat-ngram", "3", "--train.no-copy=2", "--no-such"]
    names = ["copy", "decoder.copy", "search.no_repeat_ngram", "train.no_copy", "no_such"]
    assert typed_settings(typed, types) == names


def test_the_settings_of_all_kinds_are_known_with_their_types():
    types = setting_types(ImageConfig)
    assert (types["decoder.num_heads"], types["encoder.bidirectional"], types["data"]) == (int, bool, str | None)
    assert "encoder.sequence" not in types and "encoder.sequence.kind" not in types and "decoder" not in types
    assert next(name for name in types if name.startswith("decoder.")) == "decoder.kind"


@pytest.mark.parametrize("presets", [IMAGE_PRESETS, VIDEO_PRESETS, SPEECH_PRESETS], ids=["image", "video", "speech"])
def test_no_preset_sets_an_augmentation_without_effect(presets):
    for name, preset in presets.items():
        config = preset()
        defaults = dataclasses.asdict(type(config.augment)())
        given = dataclasses.asdict(config.augment)
        changed = {f"augment.{key}" for key in given if given[key] != defaults[key]}
        assert changed.isdisjoint(dict(unused_settings(config))), name


def test_a_flag_is_left_out_with_all_its_values():
    arguments = ["--encoder.channels", "8", "16", "--beam=2", "--no-copy", "--lr", "-1"]
    assert without_flags(arguments, {"encoder.channels", "copy"}, {"copy": bool}) == ["--beam=2", "--lr", "-1"]


def test_a_new_kind_is_validated_with_the_typed_values_only():
    config = dataclasses.replace(Config(), decoder=RecurrentDecoderConfig(hidden_dim=150))
    chosen = choose_kinds(config, ["--decoder.kind", "transformer", "--decoder.num-heads", "5"])
    assert isinstance(chosen.decoder, TransformerDecoderConfig) and chosen.decoder.hidden_dim == 150


def test_kinds_can_be_varied_together_with_their_settings_in_any_order():
    variant = ("decoder.num_heads=2", "decoder.kind=transformer")
    assert as_flags(variant, Config()) == ["--decoder.num-heads", "2", "--decoder.kind", "transformer"]
    assert as_flags(("decoder=ctc", "attention=dot"), Config()) == ["--decoder.kind", "ctc", "--attention.score", "dot"]
    ctc = choose_kinds(Config(), ["--decoder.kind", "ctc"])
    assert ctc.attention is None
    assert as_flags(("decoder=recurrent", "attention=dot"), ctc)[2:] == ["--attention.score", "dot"]
    assert choose_kinds(ctc, ["--decoder.kind", "recurrent"]).attention == AttentionConfig()


def test_all_kinds_are_shown_where_the_parser_knows_one():
    config = PRESETS["tiny"]()
    line = "│ --encoder.kind {recurrent}                         │"
    shown = (
        "│ --encoder.kind {recurrent,transformer,             │\n│     convolutional}                                 │"
    )
    assert show_all_kinds(line, config) == shown
    assert show_all_kinds("try --encoder.kind {recurrent} x", config).count("{recurrent,transformer,convolutional} x")
