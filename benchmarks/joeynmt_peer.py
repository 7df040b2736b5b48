"""Time JoeyNMT 2.3 on the CPU: one recurrent sequence-to-sequence model, trained and decoded on the given files.

The benchmark runs this script as a subprocess, perhaps with another interpreter, so it imports nothing of this project.
Training is JoeyNMT's own `TrainManager.train_and_validate` loop and decoding its own `search`; only the clock is added.
Standard output carries exactly one line, a JSON object; JoeyNMT's log and every error go to standard error.
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

# JoeyNMT 2.3.0 imports importlib_metadata without declaring it, so it has to be named beside joeynmt.
INSTALL = "pip install joeynmt==2.3.0 importlib-metadata"
SPECIALS = 4  # <unk>, <pad>, <s> and </s>: JoeyNMT adds them on top of its `voc_limit`
# 2.3.0 rejects its own default of no scheduling: "exponential" with a factor of 1 keeps the learning rate constant.
CONFIGURATION = string.Template("""
name: peer
model_dir: "$folder"
use_cuda: false
data:
  {dataset_type: plain, train: "$folder/train", test: "$folder/test",
   src: {lang: src, level: word, voc_limit: $source_words}, trg: {lang: trg, level: word, voc_limit: $target_words}}
training:
  {optimizer: adam, learning_rate: 0.001, scheduling: exponential, decrease_factor: 1.0, clip_grad_norm: 1.0,
   normalization: tokens, batch_size: $batch_size, batch_type: sentence, epochs: 1000000, updates: $updates,
   logging_freq: 1000000, validation_freq: 1000000}
testing: {}
model:
  encoder:
    {type: recurrent, rnn_type: lstm, hidden_size: $encoder_hidden, bidirectional: true, num_layers: 1,
     embeddings: {embedding_dim: $embedding, dropout: 0.3}}
  decoder:
    {type: recurrent, rnn_type: lstm, hidden_size: $decoder_hidden, num_layers: 1, attention: bahdanau,
     input_feeding: true, init_hidden: bridge, hidden_dropout: 0.3,
     embeddings: {embedding_dim: $embedding, dropout: 0.3}}
""")


def build_parser():
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, required=True, help="source sentences, one a line")
    parser.add_argument("--target", type=Path, required=True, help="their translations, line by line")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch")
    parser.add_argument("--batch-size", type=int, default=80, help="sentences in a training batch")
    parser.add_argument("--steps", type=int, default=60, help="timed training steps")
    parser.add_argument("--warmup", type=int, default=3, help="training steps before the clock starts")
    parser.add_argument("--embedding", type=int, default=256, help="size of either embedding")
    parser.add_argument("--encoder-hidden", type=int, default=256, help="encoder size per direction")
    parser.add_argument("--decoder-hidden", type=int, default=512, help="size of decoder and attention")
    parser.add_argument("--source-vocabulary", type=int, default=5921, help="source words at most, 4 specials included")
    parser.add_argument("--target-vocabulary", type=int, default=7859, help="target words at most, 4 specials included")
    parser.add_argument("--decode-sentences", type=int, default=200, help="leading sentences to translate")
    parser.add_argument("--decode-batch-size", type=int, default=64, help="JoeyNMT's own default; 80 is no faster")
    parser.add_argument("--beam", type=int, default=5, help="beam size")
    parser.add_argument("--length", type=int, default=12, help="words of every output")
    return parser


def read_pairs(source, target):
    """Return the tokenised sentence pairs of two parallel files, as strings, without pairs that have an empty side."""
    with source.open(encoding="utf-8", newline="\n") as first, target.open(encoding="utf-8", newline="\n") as second:
        lines = zip(first, second, strict=True)
        tokenised = [[" ".join(re.findall(r"\w+|[^\w\s]", line.lower())) for line in pair] for pair in lines]
    pairs = [pair for pair in tokenised if all(pair)]
    if not pairs:
        raise ValueError("there are none")
    return pairs


def write_inputs(folder, pairs, options):
    """Write JoeyNMT's data files and its configuration into `folder` and return the path of the configuration."""
    values = vars(options) | {
        "folder": folder,
        "source_words": options.source_tokenizer - SPECIALS,
        "target_words": options.target_vocabulary - SPECIALS,
        "updates": options.warmup + options.steps + 1,
    }
    sources, targets = zip(*pairs, strict=True)
    files = {"train.src": sources, "train.trg": targets, "test.src": sources[: options.decode_sentences]}
    for name, lines in (files | {"config.yaml": [CONFIGURATION.substitute(values)]}).items():
        (folder / name).write_text("\n".join(lines), encoding="utf-8")
    return folder / "config.yaml"


def time_training(trainer, train_data, spare_data, options):
    """Run JoeyNMT's training loop; return real target tokens, seconds and loss of each timed step, and the first loss.

    A step lasts until the next one starts (one more than `--steps` is run for that): nothing of the loop is left out.
    """
    starts, tokens, losses = [], [], []
    train_step = trainer._train_step

    def timed_step(batch):
        starts.append(time.perf_counter())
        result = train_step(batch)
        tokens.append(batch.ntokens)
        losses.append(result[0])
        return result

    trainer._train_step = timed_step
    trainer._save_checkpoint = lambda *_: None  # the loop saves as it ends; nothing here needs the file
    trainer.train_and_validate(train_data=train_data, valid_data=spare_data)
    seconds = [after - before for before, after in itertools.pairwise(starts)]
    timed = slice(options.warmup, options.warmup + options.steps)
    return tokens[timed], seconds[timed], losses[timed], losses[0]


def time_decoding(model, data, options):
    """Translate `data` with JoeyNMT's beam search, each output exactly `--length` words; return sentences per second.

    This is the loop of `joeynmt.prediction.predict`, which cannot be called itself: 2.3.0 does not hand
    `min_output_length` on to the search, and outputs that may end early would make the work depend on the weights.
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
    start = time.perf_counter()
    for batch in batches:
        outputs.extend(translate(batch, options.length))
    words = model.trg_vocab.arrays_to_sentences(arrays=outputs, cut_at_eos=True)
    elapsed = time.perf_counter() - start
    if len(words) != len(data) or any(len(sentence) != options.length for sentence in words):
        raise SystemExit("joeynmt_peer: an output does not have the length asked for")
    return len(words) / elapsed


def run_variant(options, pairs):
    """Build JoeyNMT's data and model from `pairs`, time both tasks and return the report."""
    import joeynmt
    import torch
    from joeynmt.config import load_config, parse_global_args
    from joeynmt.helpers import set_seed
    from joeynmt.prediction import prepare
    from joeynmt.training import TrainManager

    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as name:
        arguments = parse_global_args(load_config(write_inputs(Path(name), pairs, options)))
        set_seed(arguments.seed)  # `prepare` seeds only after it has initialised the model
        model, train_data, _, test_data = prepare(arguments, rank=0, mode="train")
        settings = {"autocast": arguments.autocast, "train_args": arguments.train, "dev_args": arguments.test}
        trainer = TrainManager(0, model, arguments.model_dir, arguments.device, seed=arguments.seed, **settings)
        tokens, seconds, losses, first_loss = time_training(trainer, train_data, test_data, options)
        decoded = time_decoding(model, test_data, options)
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
        "train_tokens_per_second": round(sum(tokens) / sum(seconds), 1),
        "train_tokens_per_second_median_step": round(statistics.median(rates), 1),
        "decode_sentences_per_second": round(decoded, 2),
        "loss_first": round(first_loss, 4),
        "loss_last": round(losses[-1], 4),
    }


def main():
    """Run the command line."""
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
        report = run_variant(options, pairs)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
