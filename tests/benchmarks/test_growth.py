"""Curves of growth: what is counted, the exponents, and the plot."""

import growth
import pytest
import torch
from live_bytes import measure_peak_bytes


def test_the_peak_counts_what_is_alive_at_one_time():
    kept = torch.ones(1000)

    def compute():
        first = kept * 2  # 4,000 bytes
        second = first.view(10, 100) + 1  # the same again, and a view
        del first
        kept.add_(1.0)
        return second * 3  # when the first is gone

    assert measure_peak_bytes(compute, torch.device("cpu")) == 8000


def test_the_exponent_of_a_power_is_its_own():
    assert growth.slope([1, 2, 4, 8], [100, 12, 48, 192]) == pytest.approx(2)


@pytest.mark.parametrize("attention", growth.ATTENTIONS)
def test_memory_of_a_search_grows_with_the_beam(attention, monkeypatch):
    monkeypatch.setattr(growth, "BASE", growth.Sizes(source=4, target=2, batch=2, vocabulary=100))
    curve = growth.measure_curve(growth.ATTENTIONS[attention], "beam", [8, 32, 128], 1, torch.device("cpu"))
    assert 0.5 < curve.exponents[1] <= 1.1


def test_all_curves_make_a_plot_and_a_table(monkeypatch, tmp_path):
    monkeypatch.setattr(growth, "CURVES", {size: [2, 4] for size in growth.CURVES} | {"vocabulary": [50, 100]})
    monkeypatch.setattr(growth, "BASE", growth.Sizes(source=2, target=2, batch=2, vocabulary=50, beam=2))
    arguments = ["growth.py", "--trials", "1", "--device", "cpu", "--threads", str(torch.get_num_threads())]
    monkeypatch.setattr("sys.argv", [*arguments, "--plot", str(tmp_path / "plot.png"), "--json", str(tmp_path / "out")])
    growth.main()
    assert (tmp_path / "plot.png").stat().st_size > 10_000
    assert (tmp_path / "out").is_file()
