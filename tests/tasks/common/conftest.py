"""Tiny pretrained models with random weights, for metrics."""

from pathlib import Path

import pytest
import tokenizers
import torch
import transformers
from tokenizers import models, normalizers, pre_tokenizers, processors, trainers

CORPUS = ["a dog runs over the grass", "two dogs are running", "the unhappy dog has seven bones"]
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}


def save_tokenizer(folder: Path, begin: str, end: str) -> int:
    """Save a tokenizer of some subwords with two special tokens around each text; return the size of its vocabulary."""
    special = ["[PAD]", "[UNK]", begin, end]
    tokenizer = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))  # type: ignore[call-arg]
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=80, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    pieces = [(begin, 2), (end, 3)]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{begin} $A {end}", special_tokens=pieces)
    names = {"bos_token": begin, "eos_token": end, "cls_token": begin, "sep_token": end}
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", **names
    ).save_pretrained(folder)
    return tokenizer.get_vocab_size()


@pytest.fixture(scope="session")
def bert_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "bert"
    vocab_size = save_tokenizer(folder, "[CLS]", "[SEP]")
    torch.manual_seed(1)
    config = transformers.BertConfig(**SIZES, vocab_size=vocab_size, max_position_embeddings=12, initializer_range=1.0)
    transformers.BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def clip_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "clip"
    vocab_size = save_tokenizer(folder, "[BOS]", "[EOS]")
    ids = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0}
    text = SIZES | ids | {"vocab_size": vocab_size, "max_position_embeddings": 8}
    vision = SIZES | {"image_size": 16, "patch_size": 8}
    torch.manual_seed(1)
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=4)
    transformers.CLIPModel(config).save_pretrained(folder)
    sizes = {"size": {"shortest_edge": 16}, "crop_size": {"height": 16, "width": 16}}
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    transformers.CLIPProcessor(transformers.CLIPImageProcessor(**sizes), tokenizer).save_pretrained(folder)
    return folder
