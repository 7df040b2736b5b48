"""Beam search over the exported graphs, with the results of the search in PyTorch. infer.py reads the inputs."""

import argparse
import io
import json
import re
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

FOLDER = Path(__file__).parent
SETTINGS = json.loads((FOLDER / "settings.json").read_text(encoding="utf-8"))
PAD, UNK, BOS, EOS = range(4)


def load_graph(name):
    """Load a graph as a function from arrays by their names to arrays by their names."""
    session = onnxruntime.InferenceSession(FOLDER / name, providers=["CPUExecutionProvider"])
    inputs, outputs = ([each.name for each in nodes] for nodes in (session.get_inputs(), session.get_outputs()))
    return lambda arrays: dict(zip(outputs, session.run(outputs, {name: arrays[name] for name in inputs}), strict=True))


def forbid(log_probs, lines, min_length, max_length, no_repeat_ngram, **_):
    """Set the scores of tokens to -inf that may not follow; each line begins with BOS."""
    length, ends = len(lines[0]) - 1, log_probs[:, EOS].copy()
    log_probs[:, [PAD, UNK, BOS] + [EOS] * (length < min_length)] = -np.inf
    for row, line in enumerate(lines):
        if 0 < no_repeat_ngram <= length:
            prefix = line[len(line) - no_repeat_ngram + 1 :]
            for end in range(no_repeat_ngram, len(line)):
                if line[end - no_repeat_ngram + 1 : end] == prefix:
                    log_probs[row, line[end]] = -np.inf
    if length >= max_length:
        log_probs[:, np.arange(log_probs.shape[1]) != EOS] = -np.inf
    if no_repeat_ngram:
        log_probs[:, EOS] = np.where(np.isneginf(log_probs).all(axis=1), ends, log_probs[:, EOS])


def beam_search(encode, step, source, beam, max_length, length_penalty, coverage_penalty, **limits):
    """Return the tokens of the best sentence for one source; a beam of 1 is greedy search."""
    state, lines, scores, coverage, finished = encode(source), [[BOS]], np.zeros(1, np.float32), np.zeros(()), []
    for length in range(max_length + 1):
        outputs = step({**state, "tokens": np.array([[line[-1] for line in lines]])})
        log_probs = outputs["log_probs"][0]  # (beam, vocab)
        forbid(log_probs, lines, max_length=max_length, **limits)
        totals = (scores[:, None] + log_probs).ravel()
        best = np.argpartition(-totals, min(2 * beam, totals.size - 1))[: 2 * beam]
        best = best[np.argsort(-totals[best], kind="stable")]
        best = best[totals[best] > -np.inf]
        parents, tokens = np.divmod(best, log_probs.shape[1])
        final = totals[best] / np.float32((length + 1) ** length_penalty)
        if coverage_penalty:
            coverage = coverage + outputs["weights"][0]
            final = final + coverage_penalty * np.log(np.clip(coverage, 1e-9, 1)).sum(axis=-1)[parents]
        ends = np.flatnonzero(tokens[:beam] == EOS)
        finished += [(final[place], lines[parents[place]][1:]) for place in ends]
        kept = np.flatnonzero(tokens != EOS)[:beam]
        if len(finished) >= beam or not len(kept):
            break
        lines = [[*lines[parents[place]], tokens[place]] for place in kept]
        scores, coverage = totals[best[kept]], coverage[parents[kept]] if coverage_penalty else coverage
        state |= {name[5:]: outputs[name][:, parents[kept]] for name in outputs if name.startswith("next_")}
    return max(finished, key=lambda pair: pair[0])[1]


def ctc_search(encode, source, max_length, **_):
    """Return the tokens on the best path through the frames: repeated ones are merged, and blanks (PAD) left out."""
    log_probs = encode(source)["log_probs"][0]  # (frames, vocab)
    log_probs[:, UNK : EOS + 1] = -np.inf
    path = log_probs.argmax(axis=-1)
    begins = np.diff(path, prepend=PAD) != 0
    return path[begins & (path != PAD)][:max_length]


class Model:
    """The graphs of this folder: arrays of a source, as infer.py reads them, to a sentence."""

    def __init__(self):
        self.encode = load_graph("encoder.onnx")
        self.step = load_graph("decoder.onnx") if (FOLDER / "decoder.onnx").exists() else None
        self.tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))

    def __call__(self, source, **changes):
        """Generate the best sentence; ``beam=1``, ``max_length=50`` and the like replace the run's settings."""
        search = SETTINGS["search"] | changes
        found = (
            beam_search(self.encode, self.step, source, **search)
            if self.step
            else ctc_search(self.encode, source, **search)
        )
        text = self.tokenizer.decode([int(token) for token in found], skip_special_tokens=False)
        return re.sub(r"[\r\n]+", " ", text).strip()


def main(read):
    """Print a sentence for each input of the command line; ``read`` turns an input into arrays."""
    parser = argparse.ArgumentParser(description="Generate a sentence for each input.")
    parser.add_argument("inputs", nargs="+", help="the inputs, or - for standard input with one of them a line")
    parser.add_argument("--beam", type=int, default=SETTINGS["search"]["beam"], help="hypotheses; 1 is greedy search")
    options = parser.parse_args()
    if options.beam < 1:
        parser.error(f"--beam is {options.beam}; allowed is 1 or more")
    for stream in sys.stdin, sys.stdout:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8")
    model = Model()
    for given in options.inputs:
        for line in sys.stdin if given == "-" else [given]:
            print(model(read(line.rstrip("\r\n")), beam=options.beam), flush=True)
