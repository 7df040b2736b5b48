"""Benchmarks, which no test runs, import what the project still has."""

import ast
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("attention", "decoders", "encoders", "tasks")


@pytest.mark.parametrize("script", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda path: path.name)
def test_a_benchmark_imports_names_that_exist(script):
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in PACKAGES:
            module = importlib.import_module(node.module)
            for name in node.names:
                if not hasattr(module, name.name):
                    importlib.import_module(f"{node.module}.{name.name}")


def test_the_benchmark_of_a_gpu_runs_in_a_small_size_on_a_cpu(tmp_path: Path):
    command = [sys.executable, "benchmarks/gpu.py", "--device", "cpu", "--small", "--modalities", "text"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    finished = subprocess.run(
        [*command, "--out", str(tmp_path)], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    kinds = ("float32", "bf16", "compiled", "cpu")
    assert [record["section"] for record in report["sections"]] == ["data", *(f"{kind} text" for kind in kinds)]
    assert all(record["result"]["train_tokens_per_second"] > 0 for record in report["sections"][1:])
    assert [goal["what"] for goal in report["goals"]] == ["text", "text"]
    assert "| compiled text |" in (tmp_path / "report.md").read_text(encoding="utf-8")
