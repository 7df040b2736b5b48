"""Self-critical sequence training (Rennie et al. 2017): raise the probability of sampled sentences by their CIDEr."""

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from attention.memory import Memory
from attention.scored import Selector
from decoders.autoregressive import AutoregressiveDecoder
from decoders.base import BOS, PAD, UNK, Hypothesis, Loss
from decoders.config import SearchConfig
from decoders.search import sample
from tasks.common.data.batching import Batch
from tasks.common.metrics.cider import Cider
from tasks.common.model import Seq2Seq
from tasks.common.text.normalization import normalize_text
from tasks.common.text.tokenizer import Tokenizer, add_bos_eos, pad_ids

END = " ."  # a token for the reward, so that ending a sentence where people do is rewarded


class SelfCritical(nn.Module):
    """A criterion whose loss is REINFORCE on CIDEr instead of the likelihood of the references.

    ``num_samples`` sentences are sampled for each source, and the reward of each is compared with the mean of the
    others: a baseline without cost, with less variance than the greedy sentence of the original paper (Luo 2020).
    """

    never_sampled: Tensor

    def __init__(
        self,
        model: Seq2Seq,
        tokenizer: Tokenizer,
        references: Sequence[Sequence[str]],
        search: SearchConfig,
        num_samples: int,
    ):
        """Precompute the statistics of the references.

        Args:
            model: The model, whose decoder must be label-synchronous (predict token by token).
            tokenizer: The tokenizer of the target sentences.
            references: The references of each training row.
            search: Its ``max_length`` limits the samples.
            num_samples: Samples for each source, at least two.

        Raises:
            ValueError: for a decoder that is not label-synchronous, and for hard attention.
        """
        if any(isinstance(module, Selector) for module in model.modules()):
            raise ValueError(
                "train.objective scst trains the model in the mode in which it is used, where hard attention samples "
                "nothing and so learns nothing: start from a run with attention.selection soft"
            )
        if not model.decoder.is_label_synchronous:
            raise ValueError(
                "train.objective scst needs a label-synchronous decoder (one that predicts token by token): "
                "decoder.kind recurrent, transformer or s2vt"
            )
        super().__init__()
        self.model = model
        self.decoder = cast(AutoregressiveDecoder, model.decoder)
        self.tokenizer = tokenizer
        self.cider = Cider.from_references(
            [[normalize_text(text, "no_punctuation") + END for text in given] for given in references]
        )
        # Tokens that are never sampled take no part in the distribution that is learned. Otherwise every bad sentence
        # could be turned into a preference for the unknown token, for which no sentence is ever penalized.
        self.register_buffer("never_sampled", torch.tensor([PAD, UNK, BOS]), persistent=False)
        self.search = SearchConfig(sample=True, n_best=num_samples, max_length=search.max_length)

    def forward(self, batch: Batch, *, label_smoothing: float = 0.0, teacher_forcing: float = 1.0) -> Loss:
        """Compute the loss, summed over the sources of a batch; the other arguments concern the likelihood alone.

        The value has no meaning, only its gradient: that of the expected reward, with the sign changed. The likelihood
        of the references is not computed: ``nll`` is NaN.
        """
        self.disable_dropout()
        memory = self.model.encoder(batch.source)
        samples = self.sample(memory)
        device = memory.summary.device
        rewards = torch.tensor(
            [
                [self.reward(row, hypothesis) for hypothesis in hypotheses]
                for row, hypotheses in zip(batch.rows, samples, strict=True)
            ]
        ).to(device)
        num_samples = rewards.size(1)
        # The reward less the mean of the other samples' rewards.
        advantage = (rewards - rewards.mean(dim=1, keepdim=True)) * num_samples / (num_samples - 1)
        tokens = pad_ids([add_bos_eos(sampled.tokens) for hypotheses in samples for sampled in hypotheses]).to(device)
        # At the maximal length the end is forced: it was not sampled, so there is nothing to learn from it.
        tokens = tokens[:, : self.search.max_length + 1]
        source_index = torch.arange(len(samples), device=device).repeat_interleave(num_samples)
        targets = tokens[:, 1:]
        output = self.decoder(tokens[:, :-1], memory.repeat(source_index))
        mask = targets != PAD
        scores = self.decoder.next_token_scores(output.features[mask])
        log_probs = scores.index_fill(1, self.never_sampled, float("-inf")).log_softmax(dim=1)
        token_log_probs = log_probs.gather(1, targets[mask][:, None]).squeeze(1)
        weights = advantage.flatten()[:, None].expand_as(targets)[mask]
        loss = -(weights * token_log_probs).sum() / num_samples
        return Loss(loss, torch.full_like(loss, math.nan))

    def sample(self, memory: Memory) -> list[list[Hypothesis]]:
        """Sample sentences, without a gradient."""
        return sample(self.decoder, memory, self.search)

    def disable_dropout(self) -> None:
        """Sample from, and train, the model as it will be used, without dropout.

        With dropout in the loss but not in the samples, a different model would be trained than the one that sampled:
        sentences that it would never generate become ever less probable, and it degenerates.
        """
        self.model.eval()
        for module in self.model.modules():
            if isinstance(module, nn.RNNBase):  # cuDNN has no backward pass in evaluation mode
                module.dropout = 0.0
                module.train()

    def reward(self, row: int, hypothesis: Hypothesis) -> float:
        """Compute CIDEr of a sample against the references of a training row."""
        text = normalize_text(self.tokenizer.decode(hypothesis.tokens), "no_punctuation")
        has_ended = len(hypothesis.tokens) < self.search.max_length
        return self.cider.score(row, text + END if has_ended else text)
