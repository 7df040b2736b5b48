"""The sum over a transducer's lattice: values recorded from torchaudio's rnnt_loss, exactness, and padding."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from decoders.transducer_lattice import forward_backward, path_log_probs


def lattice(batch: int, source: int, positions: int) -> Tensor:
    """Make log-probabilities by a formula, so that they are the same in every version of torch."""
    row, frame, label = torch.meshgrid(*map(torch.arange, (batch, source, positions)), indexing="ij")
    phase = 1.0 * frame + 2 * label + 3 * row
    return torch.stack([-0.5 - phase.sin() ** 2, -1.0 - (2 * phase).cos() ** 2], dim=-1)


def test_sums_and_gradients_equal_those_of_torchaudio():
    cells = lattice(2, 4, 3).requires_grad_()
    total = path_log_probs(cells, torch.tensor([4, 3]), torch.tensor([2, 1]))
    assert_close(total, torch.tensor([-3.853247, -2.663305]), atol=1e-4, rtol=0)
    total.sum().backward()
    blanks = torch.tensor(
        [
            [[0.853990, 0.118022, 0.027988], [0.237206, 0.652393, 0.110401], [0.023772, 0.203897, 0.772331], [0, 0, 1]],
            [[0.887844, 0.112156, 0], [0.209081, 0.790919, 0], [0, 1, 0], [0, 0, 0]],
        ]
    )
    labels = torch.tensor(
        [
            [[0.146010, 0.027988, 0], [0.616784, 0.082413, 0], [0.213434, 0.661931, 0], [0.023772, 0.227669, 0]],
            [[0.112156, 0, 0], [0.678762, 0, 0], [0.209081, 0, 0], [0, 0, 0]],
        ]
    )
    assert_close(cells.grad, torch.stack([blanks, labels], dim=-1), atol=1e-4, rtol=0)


def test_gradients_are_those_of_finite_differences():
    cells = lattice(3, 5, 4).double().requires_grad_()
    num_frames, lengths = torch.tensor([5, 1, 3]), torch.tensor([3, 2, 0])
    assert torch.autograd.gradcheck(lambda cells: path_log_probs(cells, num_frames, lengths), cells)


@pytest.mark.parametrize("scale", [1.0, 30.0, 1000.0])
def test_long_and_improbable_paths_lose_no_precision(scale):
    cells = scale * lattice(2, 400, 120)
    num_frames, lengths = torch.tensor([400, 250]), torch.tensor([119, 80])
    total, posteriors = forward_backward(cells, num_frames, lengths)
    assert total.isfinite().all()
    # Each label is emitted once, and each frame is left once.
    for row in range(2):
        assert_close(posteriors[row, :, : lengths[row], 1].sum(dim=0), torch.ones(int(lengths[row])))
        assert_close(posteriors[row, : num_frames[row], :, 0].sum(dim=1), torch.ones(int(num_frames[row])))


def test_padding_changes_nothing_whatever_it_holds():
    num_frames, lengths = torch.tensor([4, 2]), torch.tensor([2, 1])
    cells = lattice(2, 4, 3)
    wide = torch.full((2, 6, 5, 2), 77.0)
    wide[:, :4, :3] = cells
    wide[1, 2:], wide[1, :, 2:] = -1e30, 1e30
    expected, narrow = forward_backward(cells, num_frames, lengths)
    total, posteriors = forward_backward(wide, num_frames, lengths)
    assert_close(total, expected)
    assert_close(posteriors[:, :4, :3], narrow)
    assert not posteriors[:, 4:].any() and not posteriors[:, :, 3:].any()
