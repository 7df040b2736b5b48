"""Writing for a whole split with any model and any task, and what the scores are: overall, by length, compared."""

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from accelerate.utils import gather_object

from decoders.autoregressive import AutoregressiveDecoder
from decoders.base import Decoder, Hypothesis
from decoders.ensemble import Ensemble, EnsembleMemory
from decoders.config import SearchConfig
from encoders.base import Memory, SourceBatch
from tasks.common.analysis.plots import plot_by_length
from tasks.common.data.tables import BatchSampler
from tasks.common.errors import UsageError
from tasks.common.inference.reranking import Reranker
from tasks.common.metrics.base import Bootstrap, Metric, SentenceStats
from tasks.common.model import Seq2Seq
from tasks.common.task import Task
from tasks.common.text.tokenizer import frame, pad
from tasks.common.training.checkpoints import write, write_json

LENGTHS = 6  # groups of about as many sentences each, from short sources to long ones


@dataclass(frozen=True)
class Predictor:
    """One model, or several that write together: raw sources in, ranked sentences out."""

    task: Task
    models: Sequence[Seq2Seq]
    reranker: Reranker | None = None

    @property
    def device(self) -> torch.device:
        return next(self.models[0].parameters()).device

    def encode(self, source: SourceBatch) -> tuple[Decoder, Memory]:
        memories = [model.encoder(source) for model in self.models]
        if len(memories) == 1:
            return self.models[0].decoder, memories[0]
        decoders = [model.decoder for model in self.models if isinstance(model.decoder, AutoregressiveDecoder)]
        if len(decoders) < len(memories):
            raise ValueError("--ensemble: only models that write token by token, with --decoder.kind recurrent, can")
        return Ensemble(decoders), EnsembleMemory.of(memories)

    @torch.inference_mode()
    def write(self, sources: Sequence[Any], config: SearchConfig) -> list[list[Hypothesis]]:
        """The ``n_best`` hypotheses of each source, which together are one batch."""
        constraint = self.task.constraint(sources, config.form, self.device)
        wanted = config.n_best
        if self.reranker is not None or self.task.picky:
            config = replace(config, n_best=max(config.beam, wanted))
        try:
            source = self.task.read(sources, training=False).to(self.device)
            decoder, memory = self.encode(source)
            ranked = decoder.search(memory, config, constraint)
        except ValueError as error:  # an option that this model cannot follow
            raise UsageError(str(error)) from error
        if self.reranker is not None:
            if config.sample:  # whose scores are sums, and not divided by length
                ranked = [[per_token(hypothesis, config.length_penalty) for hypothesis in best] for best in ranked]
            texts = [[self.task.written(hypothesis.tokens) for hypothesis in best] for best in ranked]
            ranked = self.reranker.rank(sources, ranked, texts)
        if self.task.picky:
            ranked = [self.possible_first(source, best) for source, best in zip(sources, ranked, strict=True)]
        return [best[:wanted] for best in ranked]

    def possible_first(self, source: Any, ranked: list[Hypothesis]) -> list[Hypothesis]:
        return sorted(ranked, key=lambda found: not self.task.possible(source, self.task.written(found.tokens)))

    @torch.inference_mode()
    def look(self, source: Any, hypothesis: Hypothesis) -> torch.Tensor | None:
        """Where the (first) model looks while it writes ``hypothesis`` and its end: (target, source).

        The sentence is read once more, instead of keeping the weights of every beam during the search.
        """
        model = self.models[0]
        memory = model.encoder(self.task.read([source], training=False).to(self.device))
        tokens = pad([frame(hypothesis.tokens)]).to(self.device)
        weights = model.decoder.alignment(tokens, memory)
        return None if weights is None else weights[0].cpu()

    def generate_all(
        self, sources: Sequence[Any], lengths: Sequence[int], config: SearchConfig
    ) -> list[list[Hypothesis]]:
        """The same for any number of sources, like lengths together."""
        results: list[list[Hypothesis]] = [[] for _ in lengths]
        for rows in BatchSampler([(length, 1) for length in lengths], self.task.config.batch, seed=0).by_length():
            for row, ranked in zip(rows, self.write([sources[row] for row in rows], config), strict=True):
                results[row] = ranked
        return results


def per_token(hypothesis: Hypothesis, length_penalty: float) -> Hypothesis:
    """With the score that a beam would give it."""
    return replace(hypothesis, score=hypothesis.score / (len(hypothesis.tokens) + 1) ** length_penalty)


Lengths = Sequence[tuple[int, int]]  # of each example's source and target, as Task.lengths has them


def decode(
    writer: Predictor,
    examples: datasets.Dataset,
    lengths: Lengths,
    config: SearchConfig,
    rank: int = 0,
    world: int = 1,
) -> list[str]:
    """The best hypothesis for each example, in the order of the examples; ``world`` processes share the work."""
    for model in writer.models:
        model.eval()
    own = range(rank, len(examples), world)
    sources = [source for source, _ in lengths[rank::world]]
    ranked = writer.generate_all(examples.select(own)["source"], sources, config)
    texts = [writer.task.written(best.tokens) for best, *_ in ranked]
    written = list(zip(own, texts, strict=True))
    if world > 1:
        written = gather_object(written)
    return [text for _, text in sorted(written)]


@torch.inference_mode()
def perplexity(writer: Predictor, examples: datasets.Dataset, lengths: Lengths) -> float | None:
    """exp of the mean -log p of a token of the (first) references, ends counted in; None where a decoder has no such.

    Only models with the same vocabulary can be compared by it.
    """
    total, tokens = 0.0, 0
    for rows in BatchSampler(lengths, writer.task.config.batch, seed=0).by_length():
        batch = writer.task.collate(examples, rows).to(writer.device)
        decoder, memory = writer.encode(batch.source)
        if not isinstance(decoder, AutoregressiveDecoder):
            return None
        memory = memory if batch.source_index is None else memory.select(batch.source_index)
        total += float(decoder.log_likelihood(batch.tokens, memory).sum())
        tokens += batch.target_tokens
    return math.exp(-total / tokens)


def evaluate(writer: Predictor, split: str, config: SearchConfig, run: Path, baseline: Path | None) -> dict[str, Any]:
    """Write the split, score it, and leave SPLIT.json, SPLIT.txt and SPLIT.png in ``run``/evaluation.

    ``baseline`` is the folder of another run, evaluated on this split: the difference to it is tested.
    """
    task = writer.task
    examples = task.load(split)
    both = task.lengths(examples)
    lengths = [source for source, _ in both]
    started = time.monotonic()
    hypotheses = decode(writer, examples, both, config)
    seconds = time.monotonic() - started
    references = [list(given) for given in examples["references"]]
    metrics = task.metrics_for(examples)
    own = [metric.statistics(hypotheses, references) for metric in metrics]
    scored = list(zip(metrics, own, strict=True))
    bootstrap = Bootstrap(len(examples))
    report: dict[str, Any] = {
        "split": split,
        "data": task.config.data,
        "models": len(writer.models),
        "examples": len(examples),
        "metrics": {metric.name: metric.pool(statistics.sum(axis=0)) for metric, statistics in scored},
        "intervals": {metric.name: bootstrap.interval(metric, statistics) for metric, statistics in scored},
        "signature": {metric.name: metric.signature(references) for metric in metrics},
        "perplexity": perplexity(writer, examples, both) if task.likelihood else None,
        "by_length": by_length(*scored[0], lengths),
        "baselines": {
            rule: {metric.name: metric(lines, references) for metric in metrics if metric.fast}
            for rule, lines in task.baselines(examples).items()
        },
        "diversity": task.diversity(hypotheses),
        "search": asdict(config),
        "rerank_weight": writer.reranker.weight if writer.reranker is not None else None,
        "sentences_per_second": round(len(examples) / seconds, 1),
        "real_time_factor": seconds / (sum(lengths) * task.frame_duration_s) if task.frame_duration_s else None,
        "hypotheses": f"{split}.txt",
    }
    systems = {str(run): report["by_length"]}
    if baseline is not None:
        written = read_hypotheses(baseline / "evaluation", split, len(examples))
        others = [metric.statistics(written, references) for metric in metrics]
        report["against"] = {"run": str(baseline)} | {
            metric.name: bootstrap.compare(metric, statistics, other)
            for (metric, statistics), other in zip(scored, others, strict=True)
        }
        systems[str(baseline)] = by_length(task.metrics[0], others[0], lengths)
    folder = run / "evaluation"
    write(folder / f"{split}.txt", "".join(f"{text}\n" for text in hypotheses))
    listing = task.listing(hypotheses, references)
    if listing:
        write(folder / f"{split}.listing.txt", listing)
    plot_by_length(systems, task.metrics[0].name, folder / f"{split}.png")
    write_json(folder / f"{split}.json", report)
    return report


def by_length(metric: Metric, statistics: SentenceStats, lengths: Sequence[int]) -> list[dict[str, Any]]:
    """The score of short sources, of longer ones, and so on, in groups of like size."""
    uppers = np.unique(np.quantile(lengths, np.linspace(0, 1, LENGTHS + 1)[1:]).round().astype(int)).tolist()
    lowers = [min(lengths), *(upper + 1 for upper in uppers[:-1])]
    groups = []
    for lower, upper in zip(lowers, uppers, strict=True):
        inside = [row for row, length in enumerate(lengths) if lower <= length <= upper]
        if inside:
            score = metric.pool(statistics[inside].sum(axis=0))
            groups.append({"length": f"{lower}-{upper}", "examples": len(inside), "score": score})
    return groups


def read_hypotheses(folder: Path, split: str, count: int) -> list[str]:
    """What another run wrote for the same split. Raises UsageError if it did not, or for another split's size."""
    file = folder / f"{split}.txt"
    if not file.is_file():
        raise UsageError(f"{file} is missing: evaluate that run on {split} first")
    lines = file.read_text(encoding="utf-8").split("\n")[:-1]
    if len(lines) != count:
        raise UsageError(f"{file} has {len(lines)} hypotheses for {count} examples: evaluate that run on the same data")
    return lines


def show(report: dict[str, Any]) -> None:
    """The scores with their intervals and signatures, for a person."""
    print(f"{report['split']}: {report['examples']} examples, beam {report['search']['beam']}")
    for name, value in report["metrics"].items():
        low, high = report["intervals"][name]
        line = f"{name:16} {value:7.2f}   95 % interval {low:.2f} to {high:.2f}   {report['signature'][name]}"
        if "against" in report:
            other = report["against"][name]
            line += f"   {other['difference']:+.2f} against {report['against']['run']}, p = {other['p']:.3f}"
        print(line.rstrip())
    for rule, values in report["baselines"].items():
        print(f"{rule}: " + ", ".join(f"{name} {value:.2f}" for name, value in values.items()))
    if report["perplexity"] is not None:
        print(f"{'perplexity':16} {report['perplexity']:7.2f}")
    for name, value in report["diversity"].items():
        print(f"{name:16} {value:7.2f}")
    if report["real_time_factor"] is not None:
        print(f"real-time factor {report['real_time_factor']:.4f}")
    for group in report["by_length"]:
        print(f"  length {group['length']:>9}   {group['examples']:6} examples   {group['score']:7.2f}")
