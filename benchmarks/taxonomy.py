"""Measure the time of a training step with each kind of attention, on random sentences of one length.

    python benchmarks/taxonomy.py --threads 2 --rounds 5

Every variant is the decoder of the preset multi30k with another attention, on the same batch. Each round measures all
variants, so that whatever else the machine does affects all of them; the medians, and their ratios to dot attention,
are printed. The last row, the plain loop, is a minimal decoder over torch's LSTMCell, for comparison.
"""

import statistics
import time
from dataclasses import dataclass, replace

import torch
import tyro
from torch import Tensor, nn

from attention.config import AttentionConfig
from attention.memory import Memory
from decoders.base import EOS, Decoder, Loss
from decoders.build import build_decoder
from decoders.config import RecurrentDecoderConfig
from tasks.translation.presets import multi30k

VARIANTS = {
    "dot": AttentionConfig(score="dot"),
    "scaled dot": AttentionConfig(score="scaled_dot"),
    "general": AttentionConfig(score="general"),
    "cosine": AttentionConfig(score="cosine"),
    "concat": AttentionConfig(score="concat"),
    "additive": AttentionConfig(score="additive"),
    "location": AttentionConfig(score="location"),
    "none": AttentionConfig(score="none"),
    "general, local-m": AttentionConfig(score="general", locality="local_m"),
    "general, local-p": AttentionConfig(score="general", locality="local_p"),
    "general, monotonic": AttentionConfig(score="general", locality="monotonic"),
    "general, hard by REINFORCE": AttentionConfig(score="general", selection="hard"),
    "general, hard by Gumbel": AttentionConfig(score="general", selection="hard", estimator="gumbel"),
    "general, hierarchical": AttentionConfig(score="general", hierarchy="hierarchical"),
    "general, 4 heads": AttentionConfig(score="general", num_heads=4),
}


@dataclass(frozen=True)
class Options:
    """Measure the time of a training step with each kind of attention."""

    batch_size: int = 80
    target_length: int = 20
    source_length: int = 20
    threads: int = 2
    rounds: int = 5


class PlainDecoder(nn.Module):
    """Additive attention in the decoder of Bahdanau et al. (2015), written as in a tutorial.

    It is a loop over target tokens that computes the scores of the vocabulary in every step.
    """

    def __init__(self, vocab_size: int, embedding_dim: int, hidden_dim: int, memory_dim: int):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_dim)
        self.cell = nn.LSTMCell(embedding_dim + memory_dim, hidden_dim)
        self.query_proj, self.key_proj = nn.Linear(hidden_dim, hidden_dim), nn.Linear(memory_dim, hidden_dim)
        self.v = nn.Linear(hidden_dim, 1)
        self.output = nn.Linear(hidden_dim + memory_dim, vocab_size)

    def loss(self, tokens: Tensor, memory: Memory) -> Loss:
        """Compute the negative log-likelihood, summed over all target tokens."""
        hidden = cell = memory.states.new_zeros(len(tokens), self.cell.hidden_size)
        keys, loss = self.key_proj(memory.states), torch.zeros(())
        for current, following in zip(tokens[:, :-1].unbind(1), tokens[:, 1:].unbind(1), strict=True):
            scores = self.v(torch.tanh(self.query_proj(hidden)[:, None] + keys)).squeeze(-1)
            context = (scores.softmax(dim=-1)[:, None] @ memory.states).squeeze(1)
            hidden, cell = self.cell(torch.cat([self.embedding(current), context], dim=-1), (hidden, cell))
            logits = self.output(torch.cat([hidden, context], dim=-1))
            loss = loss + nn.functional.cross_entropy(logits, following, reduction="sum")
        return Loss(loss, loss.detach())


def build_decoders(vocab_size: int, memory_dim: int) -> dict[str, Decoder | PlainDecoder]:
    """Build the decoder of each variant."""
    config = multi30k().decoder
    assert isinstance(config, RecurrentDecoderConfig)

    def build(config: RecurrentDecoderConfig, attention: AttentionConfig) -> Decoder:
        embedding = nn.Embedding(vocab_size, config.embedding_dim)
        return build_decoder(config, attention, vocab_size=vocab_size, memory_dim=memory_dim, embedding=embedding)

    decoders: dict[str, Decoder | PlainDecoder] = {
        name: build(config, attention) for name, attention in VARIANTS.items()
    }
    bahdanau = replace(config, attention_order="bahdanau")
    decoders["additive, bahdanau"] = build(bahdanau, VARIANTS["additive"])
    plain = PlainDecoder(vocab_size, config.embedding_dim, config.hidden_dim, memory_dim)
    decoders["plain loop: additive, bahdanau"] = plain
    return decoders


def measure_step(decoder: Decoder | PlainDecoder, tokens: Tensor, memory: Memory) -> float:
    """Return the seconds that a loss and its gradients take."""
    start = time.perf_counter()
    decoder.zero_grad()
    decoder.loss(tokens, memory).total.backward()
    return time.perf_counter() - start


def main(options: Options) -> None:
    """Print a table with a row for each variant."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    preset = multi30k()
    vocab_size, memory_dim = preset.vocabulary.size, 2 * preset.encoder.sequence.hidden_dim  # of both directions
    states = torch.randn(options.batch_size, options.source_length, memory_dim, requires_grad=True)
    mask = torch.ones(options.batch_size, options.source_length, dtype=torch.bool)
    memory = Memory(states, mask, states.mean(dim=1))
    tokens = torch.randint(EOS + 1, vocab_size, (options.batch_size, options.target_length + 1))
    decoders = build_decoders(vocab_size, memory_dim)
    seconds: dict[str, list[float]] = {name: [] for name in decoders}
    for number in range(options.rounds + 1):
        for name, decoder in decoders.items():
            measured = measure_step(decoder, tokens, memory)
            if number:  # the first round is a warm-up
                seconds[name].append(measured)
    dot = statistics.median(seconds["dot"])
    print("| attention | ms per step | ratio to dot |\n|---|---|---|")
    for name, measured in seconds.items():
        print(f"| {name} | {1000 * statistics.median(measured):.0f} | {statistics.median(measured) / dot:.2f} |")


if __name__ == "__main__":
    main(tyro.cli(Options))
