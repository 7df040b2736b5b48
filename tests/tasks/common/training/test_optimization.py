"""Initial values as published, schedules by their formulas, and the groups of the optimizer."""

import itertools
import math

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from attention.score_functions import build_score
from attention.scored import ScoredAttention
from decoders.recurrent import RecurrentDecoder
from encoders.recurrent import RecurrentEncoder
from encoders.text import TextEncoder, TokenEmbedding
from tasks.common.model import Seq2Seq
from tasks.common.training.config import TrainConfig
from tasks.common.training.initialization import init_weights
from tasks.common.training.optimization import build_optimizer
from tasks.common.training.schedules import learning_rate, teacher_forcing_probability

INPUT, HIDDEN, OUTPUT = 30, 50, 70
GATES = {nn.LSTM: 4, nn.GRU: 3, nn.RNN: 1}


def single_matrices(model: nn.Module) -> list[Tensor]:
    """The matrices of linear layers, and those of each gate of recurrent ones."""
    found = []
    for module in model.modules():
        weights = [weight for name, weight in module.named_parameters(recurse=False) if weight.dim() == 2]
        if not isinstance(module, nn.Embedding):
            found += [gate for weight in weights for gate in weight.data.chunk(GATES.get(type(module), 1))]
    return found


def layers() -> nn.Module:
    return nn.ModuleList([nn.Linear(INPUT, OUTPUT), *(cell(INPUT, HIDDEN, 2, bidirectional=True) for cell in GATES)])


def translator(score: str = "cosine", cell: str = "lstm", tie_embeddings: bool = True) -> Seq2Seq:
    encoder = TextEncoder(TokenEmbedding(nn.Embedding(200, 24)), RecurrentEncoder(24, 10, cell=cell, num_layers=2))
    attention = ScoredAttention(build_score(score, 20, encoder.dim, 8), encoder.dim)
    return Seq2Seq(
        encoder,
        RecurrentDecoder(nn.Embedding(300, 16), attention, 20, encoder.dim, cell=cell, tie_embeddings=tie_embeddings),
    )


# ── Initial values ─────────────────────────────────────────────────────────────────────────────────────────

BOUNDS = {
    "xavier": lambda rows, columns: math.sqrt(6 / (rows + columns)),
    "he": lambda rows, columns: math.sqrt(6 / columns),
    "uniform": lambda rows, columns: 0.08,
}


@pytest.mark.parametrize("name", BOUNDS)
def test_uniform_initializations_fill_every_gate_up_to_their_bound(name):
    model = layers()
    init_weights(model, name)
    for matrix in single_matrices(model):
        bound = BOUNDS[name](*matrix.shape)
        assert 0.98 * bound < matrix.abs().max() <= bound
        assert matrix.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.06)
        assert abs(matrix.mean()) < 0.1 * bound


def test_the_orthogonal_initialization_makes_every_gate_orthogonal():
    model = layers()
    init_weights(model, "orthogonal")
    for matrix in single_matrices(model):
        narrow = matrix if matrix.size(0) <= matrix.size(1) else matrix.T
        assert_close(narrow @ narrow.T, torch.eye(narrow.size(0)), atol=1e-5, rtol=0)


def test_gates_are_initialized_one_by_one():
    model = layers()
    init_weights(model, "orthogonal")
    matrices = [matrix for matrix in single_matrices(model) if matrix.shape == (HIDDEN, HIDDEN)]
    assert len(matrices) == (4 + 3 + 1) * 2 * 2  # gates, layers and directions
    assert not any(torch.equal(one, other) for one, other in itertools.combinations(matrices, 2))


@pytest.mark.parametrize("name", [*BOUNDS, "orthogonal"])
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_biases_are_zero_but_for_open_forget_gates(name, cell):
    model = translator(cell=cell)
    init_weights(model, name)
    for path, module in model.named_modules():
        biases = [bias for label, bias in module.named_parameters(recurse=False) if label.startswith("bias")]
        if isinstance(module, nn.LSTM):
            size = module.hidden_size
            total = sum(biases)  # torch adds two biases to the same sum
            assert torch.equal(total, torch.tensor([0.0, 1.0, 0.0, 0.0]).repeat_interleave(size)), path
        else:
            assert all(torch.equal(bias, torch.zeros_like(bias)) for bias in biases), path


@pytest.mark.parametrize("name", [*BOUNDS, "orthogonal"])
@pytest.mark.parametrize("tied", [True, False])
def test_embeddings_are_normal_even_if_they_are_the_output_matrix(name, tied):
    model = translator(tie_embeddings=tied)
    init_weights(model, name)
    for embedding in (model.encoder.frontend.embedding, model.decoder.embedding):
        assert embedding.weight.std().item() == pytest.approx(embedding.embedding_dim**-0.5, rel=0.05)
        assert embedding.weight.abs().max() > 2.5 * embedding.embedding_dim**-0.5
    output = model.decoder.output.weight
    assert (output is model.decoder.embedding.weight) == tied
    assert tied or output.std().item() != pytest.approx(16**-0.5, rel=0.05)


@pytest.mark.parametrize("score", ["general", "concat", "additive"])
def test_every_matrix_of_a_model_is_initialized(score):
    model = translator(score)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    init_weights(model, "uniform")
    matrices = {name: weight for name, weight in model.named_parameters() if weight.dim() > 1}
    assert not any(torch.equal(weight, before[name]) for name, weight in matrices.items())
    assert all(weight.abs().max() <= 0.08 for name, weight in matrices.items() if "embedding" not in name)


def test_other_parameters_than_matrices_and_biases_keep_their_values():
    model = translator("cosine")
    init_weights(model, "xavier")
    assert model.decoder.attention.score.log_scale.item() == pytest.approx(math.log(10))


def test_the_default_initialization_is_torchs_own():
    model = translator()
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    init_weights(model, "default")
    assert all(torch.equal(weight, before[name]) for name, weight in model.named_parameters())


# ── Learning rate ───────────────────────────────────────────────────────────────────────────────────────────


def rates(steps: list[int], total: int = 1000, num_lr_drops: int = 0, **settings) -> list[float]:
    """As shares of the highest rate."""
    config = TrainConfig(lr=0.004, **settings)
    return [learning_rate(config, step, total, num_lr_drops) / 0.004 for step in steps]


@pytest.mark.parametrize("schedule", ["plateau", "cosine", "inverse_sqrt", "constant"])
def test_every_schedule_warms_up_linearly_to_its_highest_rate(schedule):
    shares = rates(list(range(100)), schedule=schedule, warmup_steps=100)
    assert shares == pytest.approx([(step + 1) / 100 for step in range(100)])
    assert max(rates(list(range(1000)), schedule=schedule, warmup_steps=100)) == pytest.approx(1)
    assert rates([0], schedule=schedule) == pytest.approx([1])


def test_a_plateau_multiplies_the_rate_and_the_step_does_not():
    assert rates([0, 500, 5000], schedule="plateau") == [1, 1, 1]
    dropped = [
        rates([500], num_lr_drops=num_lr_drops, schedule="plateau", plateau_factor=0.3)[0] for num_lr_drops in range(3)
    ]
    assert dropped == pytest.approx([1, 0.3, 0.09])


@pytest.mark.parametrize("schedule", ["cosine", "inverse_sqrt", "constant"])
def test_other_schedules_ignore_plateaus(schedule):
    assert rates([10, 500], num_lr_drops=3, schedule=schedule) == rates([10, 500], schedule=schedule)


def test_the_cosine_schedule_falls_from_the_warmup_to_zero_and_stays_there():
    shares = rates([100, 325, 550, 775, 1000, 2000], schedule="cosine", warmup_steps=100)
    assert shares == pytest.approx([1, (2 + math.sqrt(2)) / 4, 0.5, (2 - math.sqrt(2)) / 4, 0, 0])
    falling = rates(list(range(100, 1001)), schedule="cosine", warmup_steps=100)
    assert falling == sorted(falling, reverse=True)


@pytest.mark.parametrize("schedule", ["plateau", "cosine", "inverse_sqrt", "constant"])
def test_the_warmup_is_at_most_a_tenth_of_the_planned_steps(schedule):
    assert rates([0, 4, 9], total=100, schedule=schedule, warmup_steps=400) == pytest.approx([0.1, 0.5, 1])
    assert rates([0], total=9, schedule=schedule, warmup_steps=400) == pytest.approx([1])


def test_before_there_is_a_plan_the_rate_only_warms_up():
    assert rates([9, 99, 5000], total=0, schedule="cosine", warmup_steps=100) == pytest.approx([0.1, 1, 1])


def test_the_inverse_square_root_schedule_halves_when_steps_quadruple():
    assert rates([99, 399, 1599, 9999], schedule="inverse_sqrt", warmup_steps=100) == pytest.approx(
        [1, 1 / 2, 1 / 4, 1 / 10]
    )
    assert rates([0, 3, 99], schedule="inverse_sqrt") == pytest.approx([1, 1 / 2, 1 / 10])


def test_the_constant_schedule_is_constant():
    assert rates([0, 999, 10**6], schedule="constant") == [1, 1, 1]


# ── Scheduled sampling ──────────────────────────────────────────────────────────────────────────────────────

SCHEDULES = ("linear", "exponential", "inverse_sigmoid")


def shares(schedule: str, half: int, steps: list[int], floor: float = 0.0) -> list[float]:
    config = TrainConfig(scheduled_sampling=schedule, sampling_half=half, sampling_floor=floor)
    return [teacher_forcing_probability(config, step) for step in steps]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("half", [1, 2, 3, 100, 5000, 1_000_000])
def test_all_schedules_meet_in_one_half(schedule, half):
    assert shares(schedule, half, [half]) == pytest.approx([0.5])


@pytest.mark.parametrize("schedule, least", [("linear", 1), ("exponential", 1), ("inverse_sigmoid", 0.99)])
def test_teacher_forcing_is_complete_at_first(schedule, least):
    for half in (1000, 5000, 1_000_000):
        (first,) = shares(schedule, half, [0])
        assert least <= first <= 1


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("half", [1, 100, 5000])
def test_teacher_forcing_only_falls_and_is_a_probability(schedule, half):
    falling = shares(schedule, half, [step * half // 20 for step in range(400)])
    assert falling == sorted(falling, reverse=True)
    assert falling[0] > falling[20] > falling[60]
    assert all(0 <= share <= 1 for share in falling)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("floor", [0.0, 0.25, 0.6, 1.0])
def test_teacher_forcing_keeps_its_floor(schedule, floor):
    assert min(shares(schedule, 1000, list(range(0, 10_000, 100)), floor)) >= floor
    assert shares(schedule, 1000, [10**9], floor) == pytest.approx([floor])


def test_without_scheduled_sampling_teacher_forcing_is_complete():
    assert shares("none", 1, [0, 1, 10**9]) == [1, 1, 1]


# ── Optimizer and invalid settings ──────────────────────────────────────────────────────────────────────────────────


def test_every_trainable_parameter_is_optimized_once_and_vectors_do_not_decay():
    model = translator()
    model.encoder.frontend.embedding.weight.requires_grad_(False)
    optimizer = build_optimizer(model, TrainConfig(lr=0.02, weight_decay=0.03))
    learned = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    expected = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert isinstance(optimizer, torch.optim.AdamW)
    assert sorted(map(id, learned)) == sorted(map(id, expected))
    for group in optimizer.param_groups:
        assert group["lr"] == 0.02
        assert all(group["weight_decay"] == (0.03 if parameter.dim() > 1 else 0) for parameter in group["params"])


INVALID = {
    "epochs": (0, -1),
    "lr": (0.0, -1e-3, math.nan, math.inf),
    "grad_accum_steps": (0,),
    "label_smoothing": (-0.1, 1.0),
    "sampling_half": (0,),
    "sampling_floor": (-0.1, 1.1),
    "plateau_factor": (0.0, 1.0),
    "max_grad_norm": (-1.0,),  # would reverse every gradient
    "warmup_steps": (-1,),  # would make every rate negative
    "weight_decay": (-0.1,),
    "num_workers": (-1,),
}


@pytest.mark.parametrize("name, value", [(name, value) for name, values in INVALID.items() for value in values])
def test_invalid_values_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=rf"train\.{name} is {value}; allowed is"):
        TrainConfig(**{name: value})
