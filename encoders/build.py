"""Build sequence encoders from their configuration."""

from encoders.base import SequenceEncoder
from encoders.config import (
    ConvS2SEncoderConfig,
    RecurrentEncoderConfig,
    SequenceEncoderConfig,
    TransformerEncoderConfig,
)
from encoders.convolutional import ConvS2SEncoder
from encoders.pooling import build_pooling
from encoders.recurrent import RecurrentEncoder
from encoders.transformer import TransformerEncoder


def build_sequence_encoder(input_dim: int, config: SequenceEncoderConfig) -> SequenceEncoder:
    """Build the sequence encoder of ``config`` for vectors of ``input_dim`` features."""
    match config:
        case RecurrentEncoderConfig():
            return RecurrentEncoder(
                input_dim,
                config.hidden_dim,
                cell=config.cell,
                num_layers=config.num_layers,
                bidirectional=config.bidirectional,
                dropout=config.dropout,
                pooling=build_pooling(config.pooling, config.hidden_dim * (1 + config.bidirectional)),
            )
        case TransformerEncoderConfig():
            return TransformerEncoder(
                input_dim,
                config.hidden_dim,
                num_layers=config.num_layers,
                num_heads=config.num_heads,
                positions=config.positions,
                dropout=config.dropout,
                pooling=build_pooling(config.pooling, config.hidden_dim),
            )
        case ConvS2SEncoderConfig():
            return ConvS2SEncoder(
                input_dim,
                config.hidden_dim,
                num_layers=config.num_layers,
                dropout=config.dropout,
                pooling=build_pooling(config.pooling, config.hidden_dim),
            )
