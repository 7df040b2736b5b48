"""The kinds of attention (docs/attention.md): what each looks like on the same sentence, after the same training.

The sentences are Chinese, whose relation comes last and, in English, in the middle: some kinds assume that source and
target have the same order, and here they do not.
"""

from dataclasses import asdict, replace
from statistics import fmean

from attention.alignment_metrics import entropy
from attention.config import AttentionConfig
from lessons.aligning import AlignedPair, align, align_batches, show_alignments
from lessons.lesson import Result
from lessons.toy_text import SMALL_BATCHES, ToyScenes, scene_to_show, small_config, small_transformer
from lessons.training import prepare, train
from lessons.translating import percent_right
from tasks.common.cli.side_by_side import run_side_by_side
from tasks.toy_world.scenes import describe

TRANSFORMER = "Transformer"
KINDS = {
    "dot": AttentionConfig(score="dot"),
    "general": AttentionConfig(score="general"),
    "additive": AttentionConfig(score="additive", hidden_dim=128),
    "location-sensitive": AttentionConfig(score="location", hidden_dim=128),
    "local-m": AttentionConfig(score="general", locality="local_m", window_size=4.0),
    "local-p": AttentionConfig(score="general", locality="local_p", window_size=4.0, hidden_dim=128),
    "monotonic": AttentionConfig(score="general", locality="monotonic", window_size=4.0, hidden_dim=128),
    "hard, REINFORCE": AttentionConfig(score="general", selection="hard"),
    "hard, Gumbel-softmax": AttentionConfig(score="general", selection="hard", estimator="gumbel"),
    "hierarchical": AttentionConfig(score="general", hierarchy="hierarchical", segment_size=4),
    "4 heads": AttentionConfig(score="general", num_heads=4),
    TRANSFORMER: small_transformer().attention,
}


def run(tiny: bool) -> Result:
    names = list(KINDS)[::-5] if tiny else list(KINDS)
    results = dict(run_side_by_side(train_kind, names, tiny))
    rows = [{"kind": kind, "flags": f"`{flags_of(kind)}`"} | results[kind][0] for kind in names]
    return Result(rows, show_alignments({kind: results[kind][1] for kind in names}, 4, (3.3, 2.3)))


def flags_of(kind: str) -> str:
    """Return the flags that choose a kind of attention in any task."""
    defaults = asdict(AttentionConfig())
    settings = {
        f"attention.{name}": value
        for name, value in asdict(KINDS[kind]).items()
        if value != defaults[name] or name == "score"
    }
    if kind == TRANSFORMER:
        settings = {"encoder.kind": "transformer", "decoder.kind": "transformer", **settings}
    return " ".join(f"--{name.replace('_', '-')} {value}" for name, value in settings.items())


def train_kind(kind: str, tiny: bool) -> tuple[dict[str, str], AlignedPair]:
    """Train a translator with a kind of attention; return its measures, and its alignment of one sentence."""
    config = small_transformer() if kind == TRANSFORMER else small_config(attention=KINDS[kind])
    task = ToyScenes(replace(config, source="zh", batch=SMALL_BATCHES), 200 if tiny else 4000)
    examples, model = prepare(task)
    steps = train(task, model, examples, num_epochs=1 if tiny else 4, lr=2e-3 if kind == TRANSFORMER else 4e-3)
    test = task.load("test")
    alignments = [alignment for _, alignment in align_batches(task, model, test)]
    bits = [bit for each in alignments for bit in entropy(each.weights, each.target_mask).tolist()]
    row = {
        "seconds": f"{sum(step.seconds for step in steps):.0f}",
        "entropy, bits": f"{fmean(bits):.2f}",
        "words right, %": f"{percent_right(task, model, test):.1f}",
    }
    scene = scene_to_show()
    return row, align(task, model, describe(scene, "zh")[0], describe(scene, "en")[0])
