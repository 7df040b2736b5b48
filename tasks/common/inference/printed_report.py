"""The report of an evaluation on the terminal."""

from typing import Any

from rich.console import Console

from tasks.common.inference.examples import show_examples

WIDTH_IN_FILES = 160  # characters of the table of examples where standard output is not a terminal


def print_report(report: dict[str, Any]) -> None:
    """Print the scores with their units, intervals and signatures, and the selected examples."""
    processes = f", {report['processes']} processes" if report["processes"] > 1 else ""
    print(f"{report['split']}: {report['examples']} examples, beam {report['search']['beam']}{processes}")
    for name, value in report["metrics"].items():
        low, high = report["intervals"][name]
        unit = report["units"][name]
        line = f"{name:16} {value:7.2f} {unit:1}  95 % interval {low:.2f} to {high:.2f}  {report['signature'][name]}"
        if "baseline" in report:
            other = report["baseline"][name]
            line += f"  {other['difference']:+.2f} against {report['baseline']['run']}, p = {other['p']:.3f}"
        print(line.rstrip())
    if "baseline" in report:
        print(f"baseline: {report['baseline']['hypotheses']}")
    for rule, values in report["baselines"].items():
        print(f"{rule}: " + ", ".join(f"{name} {value:.2f}" for name, value in values.items()))
    if report["perplexity"] is not None:
        print(f"{'perplexity':16} {report['perplexity']:7.2f}    per token of the references")
    for name, value in report["diversity"].items():
        print(f"{name:16} {value:7.2f}")
    if report["out_of_domain"] is not None:
        print(f"far from what the model was trained on: {report['out_of_domain']} of {report['examples']} sources")
    if report["real_time_factor"] is not None:
        print(f"real-time factor {report['real_time_factor']:.4f} seconds for a second of input")
    metric = next(iter(report["metrics"]))
    print(f"{metric} by {report['length_axis']}")
    for group in report["by_length"]:
        print(f"  {group['length']:>11}   {group['examples']:6} examples   {group['score']:7.2f}")
    print(f"examples by their own {metric}")
    output = Console(width=None if Console().is_terminal else WIDTH_IN_FILES)
    output.print(show_examples(report["selected"], metric))
