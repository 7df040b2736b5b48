"""Tiny pretrained text encoders with random weights, each with a tiny tokenizer of its family's notation."""

from collections.abc import Callable
from pathlib import Path

import pytest
import tokenizers
import torch
import transformers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

DIM = 16
CORPUS = ["A dog runs over the grass.", "Two dogs are running.", "The unhappy dog has seven bones!"] * 3
SIZES = {"hidden_size": DIM, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": DIM}
NUM_POSITIONS = 40


def build_tokenizer(notation: str, begin: str, end: str, unknown: str, padding: str) -> tokenizers.Tokenizer:
    """Build a tokenizer that spells pieces like BERT's (wordpiece), XLM-R's and T5's (metaspace) or BART's (bytes)."""
    special = list(dict.fromkeys((padding, begin or padding, end, unknown)))
    trainer_options = {"vocab_size": 300, "special_tokens": special, "show_progress": False}
    match notation:
        case "wordpiece":
            tokenizer = tokenizers.Tokenizer(models.WordPiece(unk_token=unknown))  # type: ignore[call-arg]
            tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
            tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
            tokenizer.decoder = decoders.WordPiece()
            trainer = trainers.WordPieceTrainer(**trainer_options)
        case "metaspace":
            words = [("▁" + word, -2.0) for word in ("The", "A", "dog", "runs", "over", "grass")]
            letters = [(letter, -4.0) for letter in sorted({*"▁s", *"".join(CORPUS)} - {" "})]
            vocabulary = [(name, 0.0) for name in special] + words + letters
            tokenizer = tokenizers.Tokenizer(models.Unigram(vocabulary, special.index(unknown), False))
            tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
            tokenizer.decoder = decoders.Metaspace()
            trainer = None
        case _:
            tokenizer = tokenizers.Tokenizer(models.BPE())
            tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
            tokenizer.decoder = decoders.ByteLevel()
            alphabet = pre_tokenizers.ByteLevel.alphabet()
            trainer = trainers.BpeTrainer(initial_alphabet=alphabet, **(trainer_options | {"vocab_size": 320}))
    if trainer is not None:
        tokenizer.train_from_iterator(CORPUS, trainer)
    pieces = [(name, tokenizer.token_to_id(name)) for name in special]
    template = f"{begin} $A {end}".strip()
    tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=pieces)
    tokenizer.enable_truncation(3)  # as many published ones are saved
    tokenizer.enable_padding(length=5)
    return tokenizer


def build_backbone(kind: str, vocab_size: int) -> torch.nn.Module:
    """Build a model with random weights, whose layers are dropped at random where its kind knows that."""
    ids = {"vocab_size": vocab_size, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    match kind:
        case "bert":
            config = transformers.BertConfig(**SIZES, vocab_size=vocab_size, max_position_embeddings=NUM_POSITIONS)
        case "xlm-roberta":
            config = transformers.XLMRobertaConfig(**SIZES, **ids, max_position_embeddings=NUM_POSITIONS + 1)
        case "modernbert":
            config = transformers.ModernBertConfig(
                **SIZES, **ids, cls_token_id=1, sep_token_id=2, max_position_embeddings=NUM_POSITIONS
            )
        case "t5":
            config = transformers.T5Config(
                vocab_size=vocab_size,
                d_model=DIM,
                d_kv=8,
                d_ff=DIM,
                num_layers=2,
                num_heads=2,
                decoder_start_token_id=0,
            )
        case _:
            config = transformers.BartConfig(
                **ids,
                d_model=DIM,
                encoder_layers=2,
                decoder_layers=1,
                encoder_attention_heads=2,
                decoder_attention_heads=2,
                encoder_ffn_dim=DIM,
                decoder_ffn_dim=DIM,
                max_position_embeddings=NUM_POSITIONS,
                encoder_layerdrop=0.5,
                decoder_start_token_id=2,
                forced_eos_token_id=None,
            )
    return transformers.AutoModel.from_config(config)


NOTATIONS = {  # kind: notation, first and last special token, unknown, padding
    "bert": ("wordpiece", "[CLS]", "[SEP]", "[UNK]", "[PAD]"),
    "xlm-roberta": ("metaspace", "<s>", "</s>", "<unk>", "<pad>"),
    "modernbert": ("bytes", "[CLS]", "[SEP]", "[UNK]", "[PAD]"),
    "t5": ("metaspace", "", "</s>", "<unk>", "<pad>"),
    "bart": ("bytes", "<s>", "</s>", "<unk>", "<pad>"),
}


@pytest.fixture
def save_text_model(tmp_path: Path) -> Callable[[str], str]:
    """Save a tiny model of a kind and return its folder."""

    def save(kind: str) -> str:
        folder = tmp_path / kind
        if folder.exists():
            return str(folder)
        notation, begin, end, unknown, padding = NOTATIONS[kind]
        tokenizer = build_tokenizer(notation, begin, end, unknown, padding)
        build_backbone(kind, tokenizer.get_vocab_size()).save_pretrained(folder)
        transformers.PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, unk_token=unknown, pad_token=padding, eos_token=end
        ).save_pretrained(folder)
        return str(folder)

    return save
