"""Training steps a second for each cell of the taxonomy, on random sentences of one size: costs, not scores.

    python benchmarks/taxonomy.py --threads 2 --rounds 5

Every variant is the shared decoder of the preset multi30k, on one and the same batch. Rounds go through all variants,
so that whatever else the machine does meets all of them; medians are printed, and their ratio to dot. "plain" is a
prototype in the shortest way to write it: additive attention in a loop over torch's LSTMCell.
"""

import statistics
import time
from dataclasses import dataclass, replace

import torch
import tyro
from torch import Tensor, nn

from decoders.base import Decoder
from attention.memory import Memory
from tasks.common.config import AttentionConfig
from tasks.common.model import build_decoder
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
    """Time the decoder's training step with every kind of attention."""

    sentences: int = 80
    target: int = 20
    source: int = 20
    threads: int = 2
    rounds: int = 5


class Plain(nn.Module):
    """Bahdanau's decoder as a tutorial writes it: a loop over words, the vocabulary at every step."""

    def __init__(self, vocabulary: int, embedding: int, hidden: int, memory: int):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, embedding)
        self.cell = nn.LSTMCell(embedding + memory, hidden)
        self.query, self.key = nn.Linear(hidden, hidden), nn.Linear(memory, hidden)
        self.vector = nn.Linear(hidden, 1)
        self.output = nn.Linear(hidden + memory, vocabulary)

    def loss(self, tokens: Tensor, memory: Memory) -> Tensor:
        hidden = cell = memory.states.new_zeros(len(tokens), self.cell.hidden_size)
        keys, loss = self.key(memory.states), torch.zeros(())
        for now, following in zip(tokens[:, :-1].unbind(1), tokens[:, 1:].unbind(1), strict=True):
            energies = self.vector(torch.tanh(self.query(hidden)[:, None] + keys)).squeeze(-1)
            context = (energies.softmax(dim=-1)[:, None] @ memory.states).squeeze(1)
            hidden, cell = self.cell(torch.cat([self.embedding(now), context], dim=-1), (hidden, cell))
            logits = self.output(torch.cat([hidden, context], dim=-1))
            loss = loss + nn.functional.cross_entropy(logits, following, reduction="sum")
        return loss


def step(decoder: Decoder | Plain, tokens: Tensor, memory: Memory) -> float:
    """Seconds for a loss and its gradient."""
    started = time.perf_counter()
    decoder.zero_grad()
    decoder.loss(tokens, memory).backward()
    return time.perf_counter() - started


def main(options: Options) -> None:
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    preset = multi30k()
    vocabulary, dim = preset.vocabulary.size, 2 * preset.encoder.hidden
    states = torch.randn(options.sentences, options.source, dim, requires_grad=True)
    memory = Memory(states, torch.ones(options.sentences, options.source, dtype=torch.bool), states.mean(dim=1))
    tokens = torch.randint(4, vocabulary, (options.sentences, options.target + 1))
    decoders: dict[str, Decoder | Plain] = {
        name: build_decoder(nn.Embedding(vocabulary, 256), dim, replace(preset, attention=attention))
        for name, attention in VARIANTS.items()
    }
    before = replace(preset, decoder=replace(preset.decoder, order="before"), attention=VARIANTS["additive"])
    decoders["additive, before the step"] = build_decoder(nn.Embedding(vocabulary, 256), dim, before)
    decoders["plain, additive, before the step"] = Plain(vocabulary, 256, preset.decoder.hidden, dim)
    seconds: dict[str, list[float]] = {name: [] for name in decoders}
    for number in range(options.rounds + 1):
        for name, decoder in decoders.items():
            taken = step(decoder, tokens, memory)
            if number:  # the first round warms up
                seconds[name].append(taken)
    first = statistics.median(seconds["dot"])
    print("| attention | ms a step | ratio to dot |\n|---|---|---|")
    for name, taken in seconds.items():
        print(f"| {name} | {1000 * statistics.median(taken):.0f} | {statistics.median(taken) / first:.2f} |")


if __name__ == "__main__":
    main(tyro.cli(Options))
