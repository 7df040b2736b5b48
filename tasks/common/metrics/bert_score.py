"""BERTScore (Zhang et al. 2020): how similar the tokens of two sentences are to a pretrained encoder of text.

The states of the last layer are compared, without weights of rare tokens and without rescaling. As in the authors'
program, special tokens such as [CLS] are not scored, but others may be similar to them.
"""

from collections.abc import Sequence
from importlib.metadata import version
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from encoders.base import SourceBatch
from encoders.pretrained.text import load_text_model
from tasks.common.metrics.base import Metric, SentenceStats, mean_percent, name_model, stats_of_scores

BATCH_SIZE = 64  # texts that are encoded at once


class EncodedText(NamedTuple):
    """The states of a text, each of length 1, and which are those of its own tokens, not of special ones."""

    states: Float[Tensor, "tokens dim"]
    is_own: Bool[Tensor, "tokens"]


class BertScore:
    """A pretrained encoder that scores sentences."""

    def __init__(self, name: str, device: torch.device):
        """Load the encoder.

        Args:
            name: Its folder, or its id on the Hugging Face hub.
            device: The device to compute on.

        Raises:
            ValueError: it can't be loaded, or is no encoder of text.
        """
        self.name, self.device = name, device
        self.model = load_text_model(name).to(device).eval()
        self.tokenizer = self.model.preprocessor
        self.tokenizer.truncate(self.tokenizer.max_tokens or 0)

    @property
    def metric(self) -> Metric:
        """The mean F1 of all sentences in %; of several references the most similar one counts."""
        return Metric("bert_score", self.sufficient_stats, mean_percent, signature=self.signature)

    def signature(self, references: Sequence[Sequence[str]]) -> str:
        return f"F1|model:{name_model(self.name)}|layer:last|idf:no|rescaled:no|transformers:{version('transformers')}"

    def sufficient_stats(self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> SentenceStats:
        scores: list[float] = []
        for start in range(0, len(hypotheses), BATCH_SIZE):
            rows = slice(start, start + BATCH_SIZE)
            own, several = self.encode(hypotheses[rows]), references[rows]
            others = iter(self.encode([text for each in several for text in each]))
            for text, each in zip(own, several, strict=True):
                scores.append(max(f1(text, next(others)) for _ in each))
        return stats_of_scores(scores)

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> list[EncodedText]:
        encodings = self.tokenizer.tokenizer.encode_batch(list(texts))
        by_length = sorted(range(len(texts)), key=lambda row: len(encodings[row]))
        encoded: dict[int, EncodedText] = {}
        for start in range(0, len(texts), BATCH_SIZE):
            rows = by_length[start : start + BATCH_SIZE]
            pieces = [torch.tensor([encodings[row].ids, range(len(encodings[row]))]).T for row in rows]
            values = torch.nn.utils.rnn.pad_sequence(pieces, batch_first=True).to(self.device)
            lengths = torch.tensor([len(each) for each in pieces], device=self.device)
            mask = torch.arange(values.size(1), device=self.device) < lengths[:, None]
            states, _ = self.model(SourceBatch(values, mask))
            for row, own in zip(rows, functional.normalize(states.float(), dim=-1).cpu(), strict=True):
                is_own = torch.tensor(encodings[row].special_tokens_mask) == 0
                encoded[row] = EncodedText(own[: len(is_own)], is_own)
        return [encoded[row] for row in range(len(texts))]


def f1(hypothesis: EncodedText, reference: EncodedText) -> float:
    """Compute the F1 of two texts: the mean similarity of each token to the most similar one of the other text."""
    if not hypothesis.is_own.any() or not reference.is_own.any():
        return float(hypothesis.is_own.any() == reference.is_own.any())
    similarity = hypothesis.states @ reference.states.T
    precision = similarity.amax(dim=1)[hypothesis.is_own].mean()
    recall = similarity.amax(dim=0)[reference.is_own].mean()
    return float(2 * precision * recall / (precision + recall))
