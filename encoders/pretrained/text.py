"""Pretrained text encoders as frontends: those of transformers, and the encoder halves of its encoder-decoders."""

import inspect
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from encoders.base import SourceBatch
from encoders.config import StateName
from encoders.pretrained.base import (
    PretrainedFrontend,
    check_complete,
    check_name,
    config_from_settings,
    import_transformers,
    loading_error,
    transformers_settings,
)
from encoders.pretrained.text_tokenizer import PretrainedTokenizer, panics_as_errors


class PretrainedText(PretrainedFrontend):
    """An encoder of text: BERT (Devlin et al. 2019), XLM-R, ModernBERT, the encoder of T5 or BART, and others.

    A state is that of a subword, or the mean of those of a word, as its ``preprocessor`` says. Its tokens are pieces;
    a state of several pieces has the id ``preprocessor.vocab_size``.
    """

    library = "transformers"
    preprocessor: PretrainedTokenizer

    def __init__(self, backbone: Any, preprocessor: PretrainedTokenizer):
        super().__init__(backbone, preprocessor, dim=backbone.config.hidden_size)

    def forward(self, source: SourceBatch) -> tuple[Float[Tensor, "batch states dim"], Bool[Tensor, "batch states"]]:
        """``source.values``: Int[Tensor, "batch pieces 2"], as ``PretrainedTokenizer.encode_states`` returns them."""
        pieces = source.values[..., 0].masked_fill(~source.mask, self.backbone.config.pad_token_id or 0)
        of_pieces = self.backbone(input_ids=pieces, attention_mask=source.mask.long()).last_hidden_state
        index, counts = self.count_pieces(source)
        sums = of_pieces.new_zeros(*counts.shape, of_pieces.size(-1)).scatter_add(
            1, index[..., None].expand_as(of_pieces), of_pieces * source.mask[..., None]
        )
        return sums / counts.clamp(min=1)[..., None], counts > 0

    def token_ids(self, source: SourceBatch) -> Int[Tensor, "batch states"]:
        index, counts = self.count_pieces(source)
        ids = torch.zeros_like(counts).scatter_add(1, index, source.values[..., 0] * source.mask)
        return ids.masked_fill(counts > 1, self.preprocessor.vocab_size)

    def count_pieces(self, source: SourceBatch) -> tuple[Int[Tensor, "batch pieces"], Int[Tensor, "batch states"]]:
        """Return the state of each piece, 0 for padding, and the number of each state's pieces."""
        index = source.values[..., 1] * source.mask
        counts = index.new_zeros(len(index), int(index.max()) + 1).scatter_add(1, index, source.mask.long())
        return index, counts

    def backbone_settings(self) -> dict[str, Any]:
        return transformers_settings(self.backbone)


def load_text_model(name: str, *, states: StateName = "subwords") -> PretrainedText:
    """Load a model with its weights.

    Args:
        name: Id on the Hugging Face hub, such as ``google-bert/bert-base-cased``, or a folder.
        states: What has a state: a subword or a word.

    Raises:
        ValueError: The model can't be loaded; the message has one line.
    """
    try:
        return load_transformers_model(name, states)
    except ModuleNotFoundError:  # of an extra
        raise
    except Exception as error:  # files, the network and other libraries raise all kinds
        raise loading_error("text", name, error) from error


def text_model_from_config(config: dict[str, Any]) -> PretrainedText:
    """Build a model from ``PretrainedFrontend.to_config``, with random weights, which a checkpoint then replaces."""
    transformers = import_transformers()
    backbone = transformers.AutoModel.from_config(config_from_settings(config["model"]))
    return PretrainedText(encoder_of(backbone), PretrainedTokenizer.from_config(config["preprocessor"]))


def load_transformers_model(name: str, states: StateName) -> PretrainedText:
    """Load a model of transformers. Raises ValueError if it is not an encoder of text, or lacks weights."""
    transformers = import_transformers()
    check_name(name)
    config = transformers.AutoConfig.from_pretrained(name)
    encoders = transformers.MODEL_FOR_MASKED_LM_MAPPING, transformers.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING
    if not any(type(config) in mapping for mapping in encoders):
        raise ValueError(
            f"its type is {config.model_type}; allowed are encoders, such as bert, xlm-roberta and modernbert, and "
            "encoder-decoders, such as t5 and bart"
        )
    if hasattr(config, "encoder_layerdrop"):  # a parameter without a gradient would stop several processes
        config.encoder_layerdrop = 0.0
    backbone, report = transformers.AutoModel.from_pretrained(name, config=config, output_loading_info=True)
    check_complete([key for key in report["missing_keys"] if not key.startswith(("decoder.", "pooler."))])
    backbone = encoder_of(backbone)
    if "input_ids" not in inspect.signature(backbone.forward).parameters:
        raise ValueError(f"its type is {config.model_type}, which does not read text")
    with panics_as_errors():
        tokenizer = transformers.AutoTokenizer.from_pretrained(name)
    if not tokenizer.is_fast or set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens):
        raise ValueError("it has no tokenizer, or one that can't be converted to the form of tokenizer.json")
    preprocessor = PretrainedTokenizer(
        tokenizer.backend_tokenizer,
        states=states,
        unknown_id=tokenizer.unk_token_id,
        max_pieces=num_positions(backbone),
    )
    preprocessor.truncate(0)  # many are saved with the truncation of their training
    return PretrainedText(backbone, preprocessor)


def encoder_of(backbone: Any) -> Any:
    """Return the encoder of a model, without a pooler, whose parameters would never get a gradient."""
    encoder = backbone.get_encoder() if backbone.config.is_encoder_decoder else backbone
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None
    return encoder


def num_positions(backbone: Any) -> int | None:
    """Return the number of a model's positions; None if they are relative, so that it reads texts of any length."""
    count = getattr(backbone.config, "max_position_embeddings", None)
    table = getattr(getattr(backbone, "embeddings", None), "position_embeddings", None)
    padding = getattr(table, "padding_idx", None)  # RoBERTa's positions begin behind that of padding
    return count if count is None or padding is None else count - padding - 1
