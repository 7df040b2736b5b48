"""Pretrained text encoders: equality with transformers, words, padding, freezing, loading, configurations."""

import json
import pickle
import re
import sys
from pathlib import Path

import pytest
import torch
import transformers
from torch.nn.utils.rnn import pad_sequence
from torch.testing import assert_close

from encoders.base import SourceBatch
from encoders.pretrained.text import PretrainedText, load_text_model, text_model_from_config
from encoders.pretrained.text_tokenizer import PretrainedTokenizer
from encoders.recurrent import RecurrentEncoder
from encoders.text import TextEncoder
from tasks.common.extras import missing_extra
from tasks.common.training.precompute import fingerprint

TEXTS = ["The unhappyrun dogs run.", "A dog!", "seven"]
KINDS = ["bert", "xlm-roberta", "modernbert", "t5", "bart"]
every_kind = pytest.mark.parametrize("kind", KINDS)
either_state = pytest.mark.parametrize("states", ["subwords", "words"])


@pytest.fixture
def make_model(save_text_model):
    """Save a tiny random model and load it."""

    def make(kind: str, states: str = "subwords") -> PretrainedText:
        return load_text_model(save_text_model(kind), states=states)

    return make


def batch(model: PretrainedText, texts: list[str], padding_value: int = 0) -> SourceBatch:
    pieces = model.preprocessor.encode_states(texts)
    values = pad_sequence(pieces, batch_first=True, padding_value=padding_value)
    lengths = torch.tensor([len(each) for each in pieces])
    return SourceBatch(values, torch.arange(values.size(1)) < lengths[:, None])


# ── Pieces and states ───────────────────────────────────────────────────────────────────────────────────────


@every_kind
def test_the_states_are_those_of_transformers(kind, make_model, tmp_path):
    model = make_model(kind)
    reference = transformers.AutoModel.from_pretrained(tmp_path / kind).eval()
    reference = reference.get_encoder() if reference.config.is_encoder_decoder else reference
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / kind)
    for text in TEXTS:
        inputs = tokenizer(text, return_tensors="pt")
        source = batch(model, [text])
        assert source.values[..., 0].equal(inputs.input_ids)
        assert model.token_ids(source).equal(inputs.input_ids)
        states, mask = model(source)
        assert mask.all()
        assert_close(states, reference(input_ids=inputs.input_ids).last_hidden_state, atol=1e-5, rtol=1e-4)


@every_kind
def test_the_state_of_a_word_is_the_mean_of_those_of_its_pieces(kind, make_model):
    by_piece, by_word = make_model(kind), make_model(kind, "words")
    by_word.load_state_dict(by_piece.state_dict())
    pieces, (states, mask) = batch(by_piece, TEXTS), by_piece(batch(by_piece, TEXTS))
    words, word_mask = by_word(batch(by_word, TEXTS))
    word_ids = by_word.token_ids(batch(by_word, TEXTS))
    averaged = 0
    for row, text in enumerate(TEXTS):
        groups: list[list[int]] = []
        encoding = by_piece.preprocessor.tokenizer.encode(text)
        for piece, word in enumerate(encoding.word_ids):
            if word is not None and piece and word == encoding.word_ids[piece - 1]:
                groups[-1].append(piece)
            else:
                groups.append([piece])
        assert word_mask[row].sum() == len(groups)
        assert word_mask[row, : len(groups)].all()
        for number, group in enumerate(groups):
            assert_close(words[row, number], states[row, group].mean(dim=0))
            is_single = len(group) == 1
            expected = pieces.values[row, group[0], 0] if is_single else by_word.preprocessor.vocab_size
            assert word_ids[row, number] == expected
            averaged += not is_single
    assert averaged
    assert mask.sum() > word_mask.sum()


@every_kind
@either_state
def test_padding_changes_no_real_state(kind, states, make_model):
    model = make_model(kind, states)
    together, mask = model(batch(model, TEXTS, padding_value=7))
    ids = model.token_ids(batch(model, TEXTS, padding_value=7))
    for row, text in enumerate(TEXTS):
        single, real = model(batch(model, [text]))
        assert real.all()
        assert mask[row].sum() == single.size(1)
        assert_close(together[row, : single.size(1)], single[0], atol=1e-5, rtol=1e-4)
        assert ids[row][mask[row]].equal(model.token_ids(batch(model, [text]))[0])


@pytest.mark.parametrize(
    "kind, states, expected",
    [
        ("bert", "subwords", ["[CLS]", "·The", "·dog", "!", "[SEP]"]),
        ("xlm-roberta", "words", ["<s>", "·The", "·dog!", "</s>"]),
        ("t5", "words", ["·The", "·dog!", "</s>"]),
        ("modernbert", "subwords", ["[CLS]", "·The", "·dog", "!", "[SEP]"]),
        ("bart", "words", ["<s>", "·The", "·dog", "!", "</s>"]),
    ],
)
def test_states_are_shown_as_the_text_that_they_are_of(kind, states, expected, make_model):
    preprocessor = make_model(kind, states).preprocessor
    assert preprocessor.display_tokens("The dog!") == expected
    for text in (*TEXTS, "two\n  lines", "ünknöwn 狗"):
        shown = preprocessor.display_tokens(text)
        assert len(shown) == 1 + int(preprocessor.encode_states([text])[0][-1, 1])


def test_parts_of_a_word_have_no_mark_in_front(make_model):
    shown = make_model("bert").preprocessor.display_tokens("A unhappyrun")
    words = [token for token in shown if not token.startswith("[")]
    assert len(words) > 2
    assert [token.startswith("·") for token in words] == [True, True, *[False] * (len(words) - 2)]
    assert "".join(words) == "·A·unhappyrun"


@pytest.mark.parametrize("kind", ["bert", "modernbert", "bart"])  # the vocabulary of a unigram model has them as pieces
def test_text_that_looks_like_a_special_token_is_text(kind, make_model):
    preprocessor = make_model(kind).preprocessor
    name = "</s>" if kind == "bart" else "[SEP]"
    ids = preprocessor.encode([f"a {name} dog"])[0]
    assert ids.count(preprocessor.tokenizer.token_to_id(name)) == 1  # at the end


@pytest.mark.parametrize(
    "kind, begins, continues",
    [("bert", "dog", "##s"), ("t5", "▁dog", "s"), ("bart", "Ġdog", "s")],
)
def test_pieces_are_spelled_in_one_notation(kind, begins, continues, make_model):
    preprocessor = make_model(kind).preprocessor
    spellings, ids = preprocessor.spellings(), preprocessor.tokenizer.token_to_id
    assert len(spellings) == preprocessor.vocab_size + 1
    assert spellings[-1] == ""
    assert [spellings[ids(begins)], spellings[ids(continues)]] == ["▁dog", "s"]


def test_punctuation_of_bert_begins_no_word(make_model):
    preprocessor = make_model("bert").preprocessor
    assert preprocessor.spellings()[preprocessor.tokenizer.token_to_id(".")] == "."


# ── Length ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("side, kept", [("right", slice(0, 2)), ("left", slice(-2, None))])
def test_texts_are_truncated_on_a_side_and_keep_their_special_tokens(side, kept, make_model):
    preprocessor = make_model("bert").preprocessor
    (whole,) = preprocessor.encode([TEXTS[0]])  # the truncation that the tokenizer was saved with is gone
    assert len(whole) > 5
    preprocessor.truncate(2, side)
    assert preprocessor.encode([TEXTS[0]]) == [[whole[0], *whole[1:-1][kept], whole[-1]]]
    assert preprocessor.encode_states([TEXTS[0]])[0].T.tolist() == [preprocessor.encode([TEXTS[0]])[0], [0, 1, 2, 3]]
    preprocessor.truncate(0)
    assert preprocessor.encode([TEXTS[0]]) == [whole]


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta", "bart"])
def test_a_text_as_long_as_the_positions_can_be_read_and_a_longer_one_cannot(kind, make_model):
    model = make_model(kind)
    limit = model.preprocessor.max_pieces
    assert model.preprocessor.max_tokens == limit - 2
    for length in (limit, limit + 1):
        values = torch.tensor([[[5, place] for place in range(length)]])
        source = SourceBatch(values, torch.ones(1, length, dtype=torch.bool))
        if length == limit:
            assert model(source)[0].shape == (1, limit, model.dim)
            continue
        with pytest.raises((IndexError, RuntimeError)):
            model(source)


def test_relative_positions_have_no_limit(make_model):
    model = make_model("t5")
    assert model.preprocessor.max_pieces is None
    assert model(batch(model, ["dog " * 50]))[0].size(1) > 50


def test_a_truncation_beyond_the_positions_is_refused(make_model):
    with pytest.raises(ValueError, match=r"^encoder\.max_source_tokens is 39; allowed .* is at most 38$"):
        make_model("bert").preprocessor.truncate(39)


# ── Freezing ────────────────────────────────────────────────────────────────────────────────────────────────


@every_kind
def test_a_frozen_model_is_deterministic_in_training_and_gets_no_gradient(kind, make_model):
    model = make_model(kind)
    encoder = TextEncoder(model, RecurrentEncoder(model.dim, 3)).train()
    source = batch(model, TEXTS)
    assert torch.equal(model(source)[0], model(source)[0])
    encoder(source).summary.sum().backward()
    assert all(parameter.grad is None for parameter in model.parameters())


@every_kind
def test_an_unfrozen_model_has_dropout_and_all_its_parameters_get_a_gradient(kind, make_model):
    model = make_model(kind)
    model.set_frozen(False)
    source = batch(model, TEXTS)
    states = model(source)[0]
    assert kind == "modernbert" or not torch.equal(states, model(source)[0])  # its configuration has no dropout
    states.square().sum().backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


# ── Loading and configurations ──────────────────────────────────────────────────────────────────────────────


@every_kind
@either_state
def test_a_model_is_built_again_from_json_and_its_weights(kind, states, make_model):
    model = make_model(kind, states)
    model.preprocessor.truncate(3, "left")
    other = text_model_from_config(json.loads(json.dumps(model.to_config())))
    assert fingerprint(other) != fingerprint(model)
    other.load_state_dict(model.state_dict())
    assert fingerprint(other) == fingerprint(model)
    assert torch.equal(other(batch(other, TEXTS))[0], model(batch(model, TEXTS))[0])
    copied = pickle.loads(pickle.dumps(model.preprocessor))
    assert copied.to_config() == model.preprocessor.to_config()
    assert copied.encode(["[SEP]"]) == model.preprocessor.encode(["[SEP]"])


def test_the_fingerprint_changes_with_what_has_a_state_and_with_truncation(make_model, tmp_path):
    model = make_model("bert")
    before = fingerprint(model)
    assert fingerprint(load_text_model(str(tmp_path / "bert"))) == before
    assert fingerprint(load_text_model(str(tmp_path / "bert"), states="words")) != before
    model.preprocessor.truncate(3)
    assert fingerprint(model) != before


def test_loading_prints_nothing(make_model, capfd):
    for kind in KINDS:
        make_model(kind)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "config, reason",
    [
        (transformers.GPT2Config(), "its type is gpt2; allowed are encoders, such as bert"),
        (transformers.ViTConfig(), "its type is vit; allowed are encoders, such as bert"),
        (transformers.WhisperConfig(), "its type is whisper; allowed are encoders, such as bert"),
        (None, "there is no such folder"),
    ],
    ids=["causal", "image", "speech", "missing"],
)
def test_other_models_are_refused_in_one_line(config, reason, tmp_path):
    name = str(tmp_path / "model")
    if config is not None:
        config.save_pretrained(name)
    with pytest.raises(ValueError, match=f"the text model {re.escape(name)} can't be loaded: {reason}") as caught:
        load_text_model(name)
    assert "\n" not in str(caught.value)


def test_a_model_that_reads_no_tokens_is_refused(tmp_path):
    sizes = {"num_latents": 4, "d_latents": 8, "d_model": 8, "num_blocks": 1, "num_self_attends_per_block": 1}
    heads = {"num_self_attention_heads": 1, "num_cross_attention_heads": 1}
    transformers.PerceiverModel(transformers.PerceiverConfig(**sizes, **heads)).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="its type is perceiver, which does not read text"):
        load_text_model(str(tmp_path))


def test_missing_weights_are_an_error_and_a_missing_pooler_or_decoder_is_not(save_text_model):
    folder = save_text_model("bert")
    without = transformers.BertModel.from_pretrained(folder, add_pooling_layer=False)
    without.save_pretrained(folder)
    load_text_model(folder)
    config = transformers.AutoConfig.from_pretrained(folder)
    config.num_hidden_layers = 3
    config.save_pretrained(folder)
    with pytest.raises(ValueError, match=r"can't be loaded: it has no weights for encoder\.layer\.2"):
        load_text_model(folder)
    folder = save_text_model("t5")
    transformers.T5EncoderModel.from_pretrained(folder).save_pretrained(folder)
    load_text_model(folder)


def test_without_a_tokenizer_the_error_has_one_line(save_text_model):
    folder = save_text_model("bert")
    for file in Path(folder).glob("tokenizer*"):
        file.unlink()
    with pytest.raises(ValueError, match=r"^the text model .* can't be loaded: ") as caught:
        load_text_model(folder)
    assert "\n" not in str(caught.value)


def test_a_tokenizer_at_which_the_library_panics_is_refused(save_text_model):
    folder = Path(save_text_model("bart"))
    saved = json.loads((folder / "tokenizer.json").read_text())
    saved["model"] |= {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}
    saved["model"]["continuing_subword_prefix"] = "longer than b"
    (folder / "tokenizer.json").write_text(json.dumps(saved))
    with pytest.raises(ValueError, match="can't be loaded: its tokenizer can't be read: "):
        load_text_model(str(folder))
    config = {"tokenizer": saved, "states": "subwords", "unknown_id": None, "max_pieces": None}
    with pytest.raises(ValueError, match="its tokenizer can't be read: "):
        PretrainedTokenizer.from_config(config)


def test_without_transformers_the_error_names_the_pip_command(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModuleNotFoundError) as caught:
        load_text_model(str(tmp_path))
    assert missing_extra(caught.value) == (
        'transformers is not installed: pip install "multimodal-seq2seq[pretrained]"'
    )
