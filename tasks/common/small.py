"""The settings of the preset ``small`` of all tasks: sizes, batches, dropout and length by the number of examples."""

from tasks.common.training.config import TrainConfig

NUM_EXAMPLES = 1000  # of which ``small`` is the preset where the number is not known, as in help texts


def hidden_size(num_examples: int) -> int:
    """Return the features of a state: what a few hundred examples can't fill is slower and generalizes no better."""
    return 128 if num_examples < 2000 else 256 if num_examples < 20_000 else 512


def dropout_rate(num_examples: int) -> float:
    """Return the dropout rate, which is the higher, the more often each example is seen."""
    return 0.5 if num_examples < 1000 else 0.4 if num_examples < 10_000 else 0.3


def batch_size(num_examples: int, smallest: int = 4, largest: int = 64) -> int:
    """Return the sources of a batch, so that an epoch has about twenty updates or more."""
    return max(smallest, min(largest, num_examples // 20))


def vocabulary_size(num_examples: int) -> int:
    """Return the number of subwords, each of which should occur a few times."""
    return max(500, min(8000, 300 + 2 * num_examples))


def train_config(num_examples: int) -> TrainConfig:
    """Return settings of a training of two minutes or, of many examples, up to half an hour."""
    return TrainConfig(
        max_minutes=float(min(30, max(2, num_examples // 100))),
        lr=2e-3,
        weight_decay=1e-2,
        schedule="cosine",
        warmup_steps=300,
        average_checkpoints=4,
    )
