"""Self-critical training (Rennie et al. 2017): the model's own sentences, made likelier the better they score."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attention import Selector
from decoders.autoregressive import AutoregressiveDecoder
from decoders.base import BOS, PAD, UNK, Hypothesis
from decoders.search import sample
from decoders.config import SearchConfig
from encoders.base import Memory
from tasks.common.data.tables import Batch
from tasks.common.metrics.cider import Cider
from tasks.common.model import Seq2Seq
from tasks.common.text.normalization import normalize_text
from tasks.common.text.tokenizer import Tokenizer, frame, pad

END = " ."  # a word to the reward, so that it is worth something to end where people end


class SelfCritical(nn.Module):
    """A model whose loss is REINFORCE on CIDEr, in place of the likelihood of what people wrote.

    ``draws`` sentences are drawn for each source, and each is compared with the mean of the others: a baseline that
    costs nothing, and with less variance than the greedy sentence of the first paper (Luo 2020).
    """

    never: Tensor

    def __init__(
        self,
        model: Seq2Seq,
        vocabulary: Tokenizer,
        references: Sequence[Sequence[str]],
        search: SearchConfig,
        draws: int,
    ):
        """Raises ValueError if the decoder does not write token by token."""
        if any(isinstance(module, Selector) for module in model.modules()):
            raise ValueError(
                "--train.objective scst learns in the model as it will be used, where hard attention draws nothing and "
                "so learns nothing: start from a run with another --attention.locality"
            )
        if not isinstance(model.decoder, AutoregressiveDecoder):
            raise ValueError(
                "--train.objective scst needs --decoder.kind recurrent or transformer, which write token by token"
            )
        super().__init__()
        self.model = model
        self.decoder = model.decoder
        self.tokenizer = vocabulary
        self.cider = Cider.of([[normalize_text(text, "plain") + END for text in given] for given in references])
        # Never drawn, so no part of what is learned from: else all that is wrong with a sentence could be turned into
        # a preference for the unknown word, which no sentence pays for.
        self.register_buffer("never", torch.tensor([PAD, UNK, BOS]), persistent=False)
        self.search = SearchConfig(sample=True, n_best=draws, max_length=search.max_length)

    def forward(self, batch: Batch, *, label_smoothing: float = 0.0, teacher_forcing: float = 1.0) -> Float[Tensor, ""]:
        """The loss summed over the batch's sources; what is learned by imitation alone is left aside.

        Its value says nothing, only its gradient does: that of the expected reward, with the sign changed.
        """
        self.as_used()
        memory = self.model.encoder(batch.source)
        drawn = self.draw(memory)
        rewards = torch.tensor(
            [[self.reward(row, one) for one in several] for row, several in zip(batch.rows, drawn, strict=True)]
        ).to(memory.summary.device)
        draws = rewards.size(1)
        advantage = (rewards - rewards.mean(dim=1, keepdim=True)) * draws / (draws - 1)  # less the others' mean
        tokens = pad([frame(one.tokens) for several in drawn for one in several]).to(memory.summary.device)
        source_index = torch.arange(len(drawn), device=tokens.device).repeat_interleave(draws)
        targets = tokens[:, 1:]
        readout = self.decoder(tokens[:, :-1], memory.select(source_index))
        real = targets != PAD
        scores = self.decoder.scores(readout.features[real]).index_fill(1, self.never, float("-inf")).log_softmax(dim=1)
        chosen = scores.gather(1, targets[real][:, None]).squeeze(1)
        weights = advantage.flatten()[:, None].expand_as(targets)[real]
        return -(weights * chosen).sum() / draws

    def draw(self, memory: Memory) -> list[list[Hypothesis]]:
        """Sentences without a gradient."""
        return sample(self.decoder, memory, self.search)

    def as_used(self) -> None:
        """Sentences are drawn from, and made likelier in, the model as it will be used: nothing in it is random.

        If they were drawn without dropout and learned with it, what is learned would be of another model than what
        drew: sentences that it would never write are made ever less likely, and it falls to pieces.
        """
        self.model.eval()
        for module in self.model.modules():
            if isinstance(module, nn.RNNBase):  # cuDNN has no gradient of one that is not in training
                module.dropout = 0.0
                module.train()

    def reward(self, row: int, hypothesis: Hypothesis) -> float:
        text = normalize_text(self.tokenizer.decode(hypothesis.tokens), "plain")
        ended = len(hypothesis.tokens) < self.search.max_length
        return self.cider.score(row, text + END if ended else text)
