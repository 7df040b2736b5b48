"""Models of other toolkits, trained and decoded on the batches of one of ours.

A peer is a module with a loss and a beam search. The loop around it is the shortest there is, which flatters it: the
toolkits' own loops do more. The toolkits are imported where their models are built, since not all are installed.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from decoders.base import BOS, EOS, PAD
from encoders.base import SourceBatch
from tasks.common.data.batching import Batch

DIM, NUM_HEADS, FEED_FORWARD_DIM = 256, 4, 1024  # as our Transformers
IGNORED = -100  # the label that torch's cross-entropy leaves out
BEAM = 5


class Peer(nn.Module, ABC):
    """A model of another toolkit."""

    @abstractmethod
    def loss(self, batch: Batch) -> Tensor:
        """Return the mean cross-entropy of the target tokens of a batch, without padding."""

    @abstractmethod
    def generate(self, source: SourceBatch, length: int) -> list[list[int]]:
        """Search with a beam of BEAM for a sentence of exactly ``length`` tokens for each source."""


@dataclass(frozen=True)
class PeerBuilder:
    """The parts from which a peer is built.

    Attributes:
        model: The name of our model with which it is compared, and whose batches it gets.
        build: Builds it, given the size of the vocabulary and a dropout rate.
    """

    model: str
    build: Callable[[int, float], Peer]


class TransformersPeer(Peer):
    """An encoder-decoder of the library transformers, with random weights."""

    def __init__(self, model: nn.Module, name_inputs: Callable[[SourceBatch], dict[str, Tensor]]):
        """``name_inputs``: makes the arguments of the model that are its source."""
        super().__init__()
        self.model, self.name_inputs = model, name_inputs

    def loss(self, batch: Batch) -> Tensor:
        labels = batch.tokens[:, 1:]
        labels = labels.masked_fill(labels == PAD, IGNORED)
        inputs = self.name_inputs(batch.source)
        return self.model(**inputs, decoder_input_ids=batch.tokens[:, :-1], labels=labels, use_cache=False).loss

    def generate(self, source: SourceBatch, length: int) -> list[list[int]]:
        search = {"num_beams": BEAM, "min_new_tokens": length, "max_new_tokens": length + 1, "do_sample": False}
        return self.model.generate(**self.name_inputs(source), **search)[:, 1:-1].tolist()


def special_tokens(vocab_size: int) -> dict[str, int]:
    """Return the settings of a configuration of transformers for our special tokens."""
    ends = {"pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS, "forced_eos_token_id": EOS}
    return {"vocab_size": vocab_size, "decoder_start_token_id": BOS, **ends}


def build_marian(vocab_size: int, dropout: float) -> Peer:
    """Build Marian (Junczys-Dowmunt et al. 2018): three layers on each side, and one embedding for all."""
    from transformers import MarianConfig, MarianMTModel

    config = MarianConfig(
        d_model=DIM,
        encoder_layers=3,
        decoder_layers=3,
        encoder_attention_heads=NUM_HEADS,
        decoder_attention_heads=NUM_HEADS,
        encoder_ffn_dim=FEED_FORWARD_DIM,
        decoder_ffn_dim=FEED_FORWARD_DIM,
        dropout=dropout,
        **special_tokens(vocab_size),
    )
    return TransformersPeer(
        MarianMTModel(config), lambda source: {"input_ids": source.values, "attention_mask": source.mask.long()}
    )


def build_speech2text(vocab_size: int, dropout: float) -> Peer:
    """Build Speech2Text (Wang et al. 2020): two convolutions, four layers, and a decoder of two."""
    from transformers import Speech2TextConfig, Speech2TextForConditionalGeneration

    config = Speech2TextConfig(
        d_model=DIM,
        encoder_layers=4,
        decoder_layers=2,
        encoder_attention_heads=NUM_HEADS,
        decoder_attention_heads=NUM_HEADS,
        encoder_ffn_dim=FEED_FORWARD_DIM,
        decoder_ffn_dim=FEED_FORWARD_DIM,
        conv_channels=256,
        dropout=dropout,
        **special_tokens(vocab_size),
    )
    return TransformersPeer(
        Speech2TextForConditionalGeneration(config),
        lambda source: {"input_features": source.values, "attention_mask": source.mask.long()},
    )


def build_vision_encoder_decoder(encoder: object, vocab_size: int, dropout: float) -> Peer:
    """Build a VisionEncoderDecoder: any vision encoder, and TrOCR's decoder (Li et al. 2021) of three layers."""
    from transformers import TrOCRConfig, VisionEncoderDecoderConfig, VisionEncoderDecoderModel

    decoder = TrOCRConfig(
        d_model=DIM,
        decoder_layers=3,
        decoder_attention_heads=NUM_HEADS,
        decoder_ffn_dim=FEED_FORWARD_DIM,
        dropout=dropout,
        **special_tokens(vocab_size),
    )
    config = VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder, **special_tokens(vocab_size))
    return TransformersPeer(
        VisionEncoderDecoderModel(config=config), lambda source: {"pixel_values": source.values.float() / 127.5 - 1}
    )


def vision_layers(num_layers: int, dropout: float) -> dict[str, float]:
    """Return the settings that encoders of images and of videos share."""
    return {
        "hidden_size": DIM,
        "num_hidden_layers": num_layers,
        "num_attention_heads": NUM_HEADS,
        "intermediate_size": FEED_FORWARD_DIM,
        "hidden_dropout_prob": dropout,
    }


def build_vit(vocab_size: int, dropout: float) -> Peer:
    """Build a ViT (Dosovitskiy et al. 2021) of four layers over 64 patches, with TrOCR's decoder."""
    from transformers import ViTConfig

    encoder = ViTConfig(image_size=128, patch_size=16, **vision_layers(4, dropout))
    return build_vision_encoder_decoder(encoder, vocab_size, dropout)


def build_timesformer(vocab_size: int, dropout: float) -> Peer:
    """Build a TimeSformer (Bertasius et al. 2021) of three layers over 16 patches of 8 frames, with TrOCR's decoder."""
    from transformers import TimesformerConfig

    encoder = TimesformerConfig(image_size=64, patch_size=16, num_frames=8, **vision_layers(3, dropout))
    return build_vision_encoder_decoder(encoder, vocab_size, dropout)


def build_speechbrain(vocab_size: int, dropout: float) -> Peer:
    """Build SpeechBrain's recipe of attentional speech recognition (Ravanelli et al. 2021)."""
    from speechbrain_peer import SpeechBrainPeer  # which needs the toolkit

    return SpeechBrainPeer(vocab_size, dropout)


PEERS: dict[str, dict[str, PeerBuilder]] = {
    "text": {"marian": PeerBuilder("transformer", build_marian)},
    "speech": {
        "speech2text": PeerBuilder("transformer", build_speech2text),
        "speechbrain": PeerBuilder("lstm", build_speechbrain),
    },
    "images": {"vit_trocr": PeerBuilder("transformer", build_vit)},
    "videos": {"timesformer_trocr": PeerBuilder("transformer", build_timesformer)},
}
