"""Settings of the search that frame-synchronous decoders have no use for are refused, not ignored."""

import re

import pytest
from torch import nn

from attention.fixed_context import NoContext
from decoders.base import Decoder
from decoders.config import SearchConfig, unsupported_settings
from decoders.ctc import CTC
from decoders.recurrent import RecurrentDecoder
from decoders.transducer import Transducer

DIM, VOCAB = 5, 6

REFUSED = {
    "sample": True,
    "temperature": 2.0,
    "top_k": 3,
    "top_p": 0.9,
    "no_repeat_ngram": 2,
    "coverage_penalty": 0.2,
    "ctc_weight": 0.5,
    "min_length": 2,
    "length_penalty": 0.7,
}


def build(kind: str) -> Decoder:
    if kind == "ctc":
        return CTC(DIM, VOCAB).eval()
    predictor = RecurrentDecoder(nn.Embedding(VOCAB, 4), NoContext(), 8, DIM, init_state="zeros")
    return Transducer(predictor, DIM).eval()


every_kind = pytest.mark.parametrize("kind", ["ctc", "transducer"])


@every_kind
@pytest.mark.parametrize("name", REFUSED)
def test_settings_of_token_by_token_searches_are_refused_by_name(kind, name, make_memory):
    message = f"search.{name} is {REFUSED[name]}, which needs a label-synchronous decoder"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        build(kind).search(make_memory([3], DIM), SearchConfig(**{name: REFUSED[name]}))


def test_the_refused_settings_can_be_listed_before_a_search():
    for name, value in REFUSED.items():
        assert unsupported_settings(SearchConfig(**{name: value})) == [name]
    assert unsupported_settings(SearchConfig(beam=7, min_length=0, length_penalty=0.0)) == []


@every_kind
def test_a_constraint_is_refused(kind, make_memory):
    with pytest.raises(ValueError, match=r"^a constraint of the search needs a label-synchronous decoder"):
        build(kind).search(make_memory([3], DIM), SearchConfig(), lambda log_probs, tokens, batch_index: None)


@every_kind
@pytest.mark.parametrize("beam", [1, 3])
def test_settings_that_say_what_the_search_does_anyway_are_accepted(kind, beam, make_memory):
    memory, decoder = make_memory([3, 2], DIM), build(kind)
    stated = SearchConfig(beam=beam, min_length=0, length_penalty=0.0, max_length=5)
    assert decoder.search(memory, stated) == decoder.search(memory, SearchConfig(beam=beam, max_length=5))
