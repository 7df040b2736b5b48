"""Time training and decoding of JoeyNMT 2.3's recurrent sequence-to-sequence model.

throughput.py runs this script as a subprocess, possibly with another interpreter, so it imports nothing from this
project but peak_memory.py. Training is JoeyNMT's own ``TrainManager.train_and_validate``, and decoding its own
``search``; only the clock and the meter of memory are added. Standard output is one line, a JSON object; JoeyNMT's log
and all errors are printed to standard error.
"""

import argparse
import contextlib
import itertools
import json
import re
import statistics
import string
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

# JoeyNMT 2.3.0 imports importlib_metadata without declaring it, so it has to be installed as well.
INSTALL = "pip install joeynmt==2.3.0 importlib-metadata"
NUM_SPECIAL_TOKENS = 4  # <unk>, <pad>, <s> and </s>, which JoeyNMT adds to the words that ``voc_limit`` counts
# 2.3.0 rejects its own default, no scheduling; "exponential" with a factor of 1 keeps the learning rate constant.
CONFIG_TEMPLATE = string.Template("""
name: peer
model_dir: "$folder"
use_cuda: $use_cuda
data:
  {dataset_type: plain, train: "$folder/train", test: "$folder/test",
   src: {lang: src, level: word, voc_limit: $max_source_words},
   trg: {lang: trg, level: word, voc_limit: $max_target_words}}
training:
  {optimizer: adam, learning_rate: 0.001, scheduling: exponential, decrease_factor: 1.0, clip_grad_norm: 1.0,
   normalization: tokens, batch_size: $batch_size, batch_type: sentence, epochs: 1000000, updates: $updates,
   logging_freq: 1000000, validation_freq: 1000000}
testing: {}
model:
  encoder:
    {type: recurrent, rnn_type: lstm, hidden_size: $encoder_hidden_dim, bidirectional: true, num_layers: 1,
     embeddings: {embedding_dim: $embedding_dim, dropout: 0.3}}
  decoder:
    {type: recurrent, rnn_type: lstm, hidden_size: $decoder_hidden_dim, num_layers: 1, attention: bahdanau,
     input_feeding: true, init_hidden: bridge, hidden_dropout: 0.3,
     embeddings: {embedding_dim: $embedding_dim, dropout: 0.3}}
""")


def build_parser():
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(description="Time training and decoding of JoeyNMT 2.3.")
    parser.add_argument("--source", type=Path, required=True, help="source sentences, one per line")
    parser.add_argument("--target", type=Path, required=True, help="their translations, one per line")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=2, help="number of torch threads")
    parser.add_argument("--batch-size", type=int, default=80, help="sentences per training batch")
    parser.add_argument("--steps", type=int, default=60, help="timed training steps")
    parser.add_argument("--warmup", type=int, default=3, help="training steps before the clock starts")
    parser.add_argument("--embedding-dim", type=int, default=256, help="size of both embeddings")
    parser.add_argument("--encoder-hidden-dim", type=int, default=256, help="encoder size per direction")
    parser.add_argument("--decoder-hidden-dim", type=int, default=512, help="size of decoder and attention")
    parser.add_argument("--source-vocab-size", type=int, default=5921, help="source vocabulary with special tokens")
    parser.add_argument("--target-vocab-size", type=int, default=7859, help="target vocabulary with special tokens")
    parser.add_argument("--sentences", type=int, default=200, help="number of sentences to translate, from the first")
    parser.add_argument("--decode-batch-size", type=int, default=64, help="JoeyNMT's default; 80 is not faster")
    parser.add_argument("--beam", type=int, default=5, help="hypotheses kept for a sentence")
    parser.add_argument("--length", type=int, default=12, help="words of each output")
    return parser


def read_pairs(source, target):
    """Return the tokenized sentence pairs of two parallel files, without pairs that have an empty side."""
    with source.open(encoding="utf-8", newline="\n") as first, target.open(encoding="utf-8", newline="\n") as second:
        lines = zip(first, second, strict=True)
        tokenized = [[" ".join(re.findall(r"\w+|[^\w\s]", line.lower())) for line in pair] for pair in lines]
    pairs = [pair for pair in tokenized if all(pair)]
    if not pairs:
        raise ValueError("no pair has words on both sides")
    return pairs


def save_inputs(folder, pairs, options):
    """Save JoeyNMT's data files and its configuration in ``folder``, and return the path of the configuration."""
    values = vars(options) | {
        "folder": folder,
        "use_cuda": str(options.device == "cuda").lower(),
        "max_source_words": options.source_vocab_size - NUM_SPECIAL_TOKENS,
        "max_target_words": options.target_vocab_size - NUM_SPECIAL_TOKENS,
        "updates": options.warmup + options.steps + 1,
    }
    sources, targets = zip(*pairs, strict=True)
    files = {"train.src": sources, "train.trg": targets, "test.src": sources[: options.sentences]}
    for name, lines in (files | {"config.yaml": [CONFIG_TEMPLATE.substitute(values)]}).items():
        (folder / name).write_text("\n".join(lines), encoding="utf-8")
    return folder / "config.yaml"


def time_training(trainer, train_data, spare_data, options):
    """Run JoeyNMT's training loop.

    A step lasts until the next one starts, so that nothing in the loop is left out; one step more than ``--steps`` is
    run for this.

    Returns:
        The sentences, target tokens (without padding), seconds and losses of the timed steps, and the loss of the
        first step.
    """
    starts, sentences, tokens, losses = [], [], [], []
    train_step = trainer._train_step

    def timed_step(batch):
        starts.append(read_clock(options))
        result = train_step(batch)
        sentences.append(batch.nseqs)
        tokens.append(batch.ntokens)
        losses.append(result[0])
        return result

    trainer._train_step = timed_step
    trainer._save_checkpoint = lambda *_: None  # the loop saves at its end, and the file is not needed
    trainer.train_and_validate(train_data=train_data, valid_data=spare_data)
    seconds = [after - before for before, after in itertools.pairwise(starts)]
    timed = slice(options.warmup, options.warmup + options.steps)
    return sentences[timed], tokens[timed], seconds[timed], losses[timed], losses[0]


def read_clock(options):
    """Return the time in seconds, once the device has done all that it was given."""
    import torch

    if options.device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def time_decoding(model, data, options):
    """Translate ``data`` with JoeyNMT's beam search, with ``--length`` words in each output.

    This is the loop of ``joeynmt.prediction.predict``, which cannot be called itself: 2.3.0 does not pass
    ``min_output_length`` to the search, and if outputs could end early, the work would depend on the weights.

    Returns:
        The number of sentences per second.
    """
    from joeynmt.search import search

    def translate(batch, length):
        order = batch.sort_by_src_length()
        limits = {"max_output_length": length, "min_output_length": length}
        return search(model=model, batch=batch, beam_size=options.beam, beam_alpha=-1, **limits)[0][order]

    model.eval()
    batches = data.make_iter(options.decode_batch_size, pad_index=model.pad_index, eos_index=model.eos_index)
    translate(next(iter(batches)), 1)
    outputs = []
    start = read_clock(options)
    for batch in batches:
        outputs.extend(translate(batch, options.length))
    words = model.trg_vocab.arrays_to_sentences(arrays=outputs, cut_at_eos=True)
    elapsed = read_clock(options) - start
    if len(words) != len(data) or any(len(sentence) != options.length for sentence in words):
        raise SystemExit(f"joeynmt_peer: not all outputs have {options.length} words")
    return len(words) / elapsed


def run_benchmark(options, pairs):
    """Build JoeyNMT's data and model from ``pairs``, time training and decoding, and return the report."""
    import joeynmt
    import torch
    from joeynmt.config import load_config, parse_global_args
    from joeynmt.helpers import set_seed
    from joeynmt.prediction import prepare
    from joeynmt.training import TrainManager
    from peak_memory import PeakMemory

    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as name:
        arguments = parse_global_args(load_config(save_inputs(Path(name), pairs, options)))
        set_seed(arguments.seed)  # ``prepare`` sets the seed only after it has initialized the model
        model, train_data, _, test_data = prepare(arguments, rank=0, mode="train")
        settings = {"autocast": arguments.autocast, "train_args": arguments.train, "dev_args": arguments.test}
        trainer = TrainManager(0, model, arguments.model_dir, arguments.device, seed=arguments.seed, **settings)
        with PeakMemory(arguments.device) as training:
            sentences, tokens, seconds, losses, first_loss = time_training(trainer, train_data, test_data, options)
        with PeakMemory(arguments.device) as decoding:
            sentences_per_second = time_decoding(model, test_data, options)
    rates = [count / duration for count, duration in zip(tokens, seconds, strict=True)]
    parts = Counter()
    for name, parameter in model.named_parameters():
        parts[".".join(name.split(".")[: 2 if name.startswith("decoder.") else 1])] += parameter.numel()
    return {
        "name": "joeynmt",
        "version": joeynmt.__version__,
        "torch": torch.__version__,
        "parameters": parts.total(),
        "parameters_by_part": parts,
        "vocabularies": [len(model.src_vocab), len(model.trg_vocab)],
        "train_examples_per_second": round(sum(sentences) / sum(seconds), 2),
        "train_tokens_per_second": round(sum(tokens) / sum(seconds), 1),
        "train_tokens_per_second_median_step": round(statistics.median(rates), 1),
        "train_peak_bytes": training.num_bytes,
        "decode_sentences_per_second": round(sentences_per_second, 2),
        "decode_tokens_per_second": round(sentences_per_second * options.length, 2),
        "decode_peak_bytes": decoding.num_bytes,
        "loss_first": round(first_loss, 4),
        "loss_last": round(losses[-1], 4),
    }


def main():
    """Run the benchmark from the command line."""
    parser = build_parser()
    options = parser.parse_args()
    try:
        pairs = read_pairs(options.source, options.target)
    except (OSError, ValueError) as error:
        parser.error(f"cannot read the sentence pairs: {error}")
    with contextlib.redirect_stdout(sys.stderr):
        try:
            import joeynmt.training  # noqa: F401
        except ImportError as error:
            parser.exit(2, f"joeynmt_peer: JoeyNMT cannot be imported ({error}); install it with: {INSTALL}\n")
        report = run_benchmark(options, pairs)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
