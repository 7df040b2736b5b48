"""The attentional speech recognizer of SpeechBrain's LibriSpeech recipe, in the size of our model.

pip install speechbrain torchaudio      # into an environment with this project
"""

import torch
from peers import BEAM, Peer
from speechbrain.decoders import S2SRNNBeamSearcher
from speechbrain.lobes.models.CRDNN import CRDNN
from speechbrain.nnet.linear import Linear
from speechbrain.nnet.RNN import LSTM, AttentionalRNNDecoder
from synthetic_data import NUM_MELS
from torch import Tensor, nn
from torch.nn import functional

from decoders.base import BOS, EOS, PAD
from encoders.base import SourceBatch
from tasks.common.data.batching import Batch

RECURRENT_DIM = 256  # of each direction
STATE_DIM = 256
EMBEDDING_DIM = 128
DECODER_DIM = 320
ATTENTION_DIM = 256


class SpeechBrainPeer(Peer):
    """CRDNN: two blocks of convolutions, three bidirectional LSTMs, a dense layer; and a GRU with location attention.

    The convolutions divide time by four, as ours. The recipe's kernel size, channels of the attention and scaling are
    kept.
    """

    def __init__(self, vocab_size: int, dropout: float):
        super().__init__()
        self.encoder = CRDNN(
            input_size=NUM_MELS,
            dropout=dropout,
            cnn_blocks=2,
            cnn_channels=[32, 32],
            using_2d_pooling=True,
            rnn_class=LSTM,
            rnn_layers=3,
            rnn_neurons=RECURRENT_DIM,
            dnn_blocks=1,
            dnn_neurons=STATE_DIM,
        )
        self.embedding = nn.Embedding(vocab_size, EMBEDDING_DIM)
        self.decoder = AttentionalRNNDecoder(
            rnn_type="gru",
            attn_type="location",
            hidden_size=DECODER_DIM,
            attn_dim=ATTENTION_DIM,
            num_layers=1,
            enc_dim=STATE_DIM,
            input_size=EMBEDDING_DIM,
            channels=10,
            kernel_size=100,
            scaling=1.0,
            dropout=dropout,
        )
        self.output = Linear(n_neurons=vocab_size, input_size=DECODER_DIM)

    def loss(self, batch: Batch) -> Tensor:
        states, lengths = self.encode(batch.source)
        features, _ = self.decoder(self.embedding(batch.tokens[:, :-1]), states, lengths)
        self.decoder.attn.reset()  # it keeps tensors of the batch
        return functional.cross_entropy(
            self.output(features).flatten(0, 1), batch.tokens[:, 1:].flatten(), ignore_index=PAD
        )

    @torch.inference_mode()
    def generate(self, source: SourceBatch, length: int) -> list[list[int]]:
        states, lengths = self.encode(source)
        # Lengths are limited by their ratio to that of the longest source. The last token is taken for the end, and is
        # left out.
        ratio = (length + 1.5) / states.size(1)
        searcher = S2SRNNBeamSearcher(
            embedding=self.embedding,
            decoder=self.decoder,
            linear=self.output,
            bos_index=BOS,
            eos_index=EOS,
            min_decode_ratio=ratio,
            max_decode_ratio=ratio,
            beam_size=BEAM,
            using_eos_threshold=False,
        )
        return [[int(token) for token in tokens] for tokens in searcher(states, lengths)[0]]

    def encode(self, source: SourceBatch) -> tuple[Tensor, Tensor]:
        """Return the states, and the share of them that are not padding."""
        return self.encoder(source.values), source.mask.float().mean(dim=1)
