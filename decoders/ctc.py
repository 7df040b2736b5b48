"""CTC: every source position emits a token or a blank (Graves et al. 2006)."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from attention.dropout import Dropout
from attention.memory import Memory
from decoders.base import BOS, EOS, NEG_INF, PAD, Constraint, Decoder, Hypothesis, Loss
from decoders.config import SearchConfig
from decoders.forced_alignment import align_labels, join_groups, spans_of
from decoders.frame_synchronous import PREFIX_HASH_MULTIPLIER, check_frame_synchronous, is_label, strip_bos_eos


class CTC(Decoder):
    """Connectionist temporal classification: one linear map from each state of the memory to the vocabulary.

    The states of the memory are called frames here, as in speech. The blank is PAD, which no sentence contains. A path
    through the frames becomes a sentence by merging repeated labels and then removing blanks; the probability of a
    sentence is the sum over all its paths. There must be at least as many frames as tokens, and one more for each
    token that equals the one before it.
    """

    export_form = "frames"
    has_alignment = True

    def __init__(self, memory_dim: int, vocab_size: int, *, dropout: float = 0.0):
        super().__init__()
        self.dropout = Dropout(dropout)
        self.output = nn.Linear(memory_dim, vocab_size)

    def log_probs(self, memory: Memory) -> Float[Tensor, "batch source vocab"]:
        """Return each frame's log-probabilities in float32; those of BOS and EOS are -inf."""
        logits = self.output(self.dropout(memory.states)).float()
        excluded = torch.arange(BOS, EOS + 1, device=logits.device)
        return logits.index_fill(-1, excluded, NEG_INF).log_softmax(dim=-1)

    def loss(
        self,
        tokens: Int[Tensor, "batch target"],
        memory: Memory,
        *,
        label_smoothing: float = 0.0,
        teacher_forcing: float = 1.0,
        num_tokens: int | None = None,
    ) -> Loss:
        """Return -log p(sentence | memory), summed. A sentence too long for its frames contributes zero."""
        loss = ctc_losses(self.log_probs(memory), tokens, is_label(tokens), memory.mask).sum()
        return Loss(loss, loss.detach())

    @torch.inference_mode()
    def search(
        self, memory: Memory, config: SearchConfig, constraint: Constraint | None = None
    ) -> list[list[Hypothesis]]:
        """Search with :func:`greedy_search` for a beam of 1, otherwise with :func:`prefix_beam_search`.

        Scores are the log-probabilities of the sentences. Without EOS, no length penalty is needed, and a sentence may
        be empty.
        """
        check_frame_synchronous(config, constraint)
        log_probs = self.log_probs(memory)
        if config.beam == 1:
            labels, scores = greedy_search(log_probs, memory.mask, config.max_length)
        else:
            labels, scores = prefix_beam_search(log_probs, memory.mask, config.beam, config.max_length)
        return [
            [
                Hypothesis([token for token in line if token != PAD], score)
                for line, score in zip(lines[: config.n_best], row[: config.n_best], strict=True)
                if score > NEG_INF
            ]
            for lines, row in zip(labels.tolist(), scores.tolist(), strict=True)
        ]

    @torch.no_grad()
    def alignment(self, tokens: Int[Tensor, "batch target"], memory: Memory) -> Float[Tensor, "batch target-2 source"]:
        """Return the frames of each token on the best path of the sentence, with equal weights.

        Rows are the tokens between BOS and EOS. Those of padding, and of a sentence too long for its frames, are zero.
        """
        labels, lengths = strip_bos_eos(tokens)
        weights = align_labels(self.log_probs(memory), memory.mask, labels, lengths).float()
        return weights / weights.sum(dim=-1, keepdim=True).clamp(min=1.0)

    @torch.no_grad()
    def state_spans(
        self, tokens: Int[Tensor, "batch target"], groups: Int[Tensor, "batch target"], memory: Memory
    ) -> Int[Tensor, "batch groups 2"]:
        """Return the frames from a group's first token to its last, on the best path of the sentence."""
        labels, lengths = strip_bos_eos(tokens)
        is_aligned = align_labels(self.log_probs(memory), memory.mask, labels, lengths)
        return spans_of(join_groups(is_aligned, groups[:, 1 : 1 + labels.size(1)]))


def label_onsets(path: Int[Tensor, "batch source"]) -> Bool[Tensor, "batch source"]:
    """Return the frames of a path that emit a label other than that of the frame before."""
    return (path != PAD) & (path != functional.pad(path[:, :-1], (1, 0), value=PAD))


def ctc_losses(
    log_probs: Float[Tensor, "batch source vocab"],
    tokens: Int[Tensor, "batch target"],
    is_real: Bool[Tensor, "batch target"],
    mask: Bool[Tensor, "batch source"],
) -> Float[Tensor, " batch"]:
    """Return -log p of the sentences that consist of the real ``tokens``; 0 where it is infinite."""
    # The gradient at an entry of -inf would be NaN, even though no sentence contains it.
    finite = log_probs.clamp(min=torch.finfo(log_probs.dtype).min)
    return functional.ctc_loss(
        finite.transpose(0, 1),
        tokens[is_real],
        mask.sum(dim=1),
        is_real.sum(dim=1),
        blank=PAD,
        reduction="none",
        zero_infinity=True,
    )


def greedy_search(
    log_probs: Float[Tensor, "batch source vocab"], mask: Bool[Tensor, "batch source"], max_length: int
) -> tuple[Int[Tensor, "batch 1 source"], Float[Tensor, "batch 1"]]:
    """Take the most probable entry of each frame (best path decoding), and at most ``max_length`` tokens.

    Returns:
        The token that each frame appends to the sentence (PAD: none), and the log-probability of the sentence, which
        is more than that of the single path.
    """
    blank, labels = log_probs[..., PAD], log_probs[..., EOS:]  # EOS is impossible, and there if no label is
    best, label = labels.max(dim=-1)
    path = torch.where((best > blank) & mask, label + EOS, PAD)
    onsets = label_onsets(path)
    onsets &= onsets.cumsum(dim=1) <= max_length
    scores = -ctc_losses(log_probs, path, onsets, mask)
    return torch.where(onsets, path, PAD)[:, None], scores[:, None]


def prefix_beam_search(
    log_probs: Float[Tensor, "batch source vocab"],
    mask: Bool[Tensor, "batch source"],
    beam: int,
    max_length: int,
) -> tuple[Int[Tensor, "batch beam source"], Float[Tensor, "batch beam"]]:
    """Prefix beam search (Hannun et al. 2014), frame by frame, for all sentences and prefixes at once.

    A prefix is the sentence emitted by the frames so far. Its log-probability is stored separately for the paths that
    end in a blank and for those that end in its last token, because only after a blank can the same token be emitted
    again. A frame leaves a prefix unchanged or appends one token; the ``beam`` most probable prefixes remain. Paths to
    the same prefix are added: a prefix is identified by a ``key``, and the prefix without its last token by ``parent``.

    Returns:
        The token that each frame appends to the best prefixes (PAD: none), and their log-probabilities, best first;
        -inf where there are fewer than ``beam`` prefixes.
    """
    batch_size, num_frames, _ = log_probs.shape
    blank_gains = log_probs[..., PAD].masked_fill(~mask, 0.0)  # padding is a blank with probability one
    gains = log_probs.masked_fill(~mask[..., None], NEG_INF)
    # The best 2 * beam tokens of a frame are enough for an exact result: one of them may be the prefix's own last
    # token, and fewer than ``beam`` may lead to prefixes that are in the beam already.
    labels = gains[..., EOS:]  # EOS is impossible, and there if no label is
    label_gains, labels = labels.topk(min(2 * beam, labels.size(-1)))
    labels = labels + EOS  # (batch, source, choices)
    choices = labels.size(-1)

    # Log-probabilities of the paths to each prefix that end in a blank, and in its last token: (batch, beam).
    blank = gains.new_zeros(batch_size, 1)
    nonblank = torch.full_like(blank, NEG_INF)
    last = labels.new_full((batch_size, 1), PAD)
    key, parent, length = torch.ones_like(last), torch.zeros_like(last), torch.zeros_like(last)
    history: list[tuple[Tensor, Tensor]] = []  # for each frame: the previous prefix of each, and the appended token
    for frame in range(num_frames):
        total = torch.logaddexp(blank, nonblank)
        width = total.size(1)

        # A prefix stays: by a blank, by its last token again, or because its parent in the beam is extended to it.
        is_extension = (parent[:, :, None] == key[:, None]) & (total > NEG_INF)[..., None]  # (batch, beam, parents)
        extendable = torch.where(last[:, :, None] == last[:, None], blank[:, None], total[:, None])
        prefix_alpha = extendable.masked_fill(~is_extension, NEG_INF).amax(dim=2)
        stays_nonblank = torch.logaddexp(nonblank, prefix_alpha) + gains[:, frame].gather(1, last)
        stays_blank = total + blank_gains[:, frame, None]

        # Or it is extended by one of the frame's best tokens, unless that prefix is in the beam already, or too long.
        token = labels[:, None, frame]  # (batch, 1, choices)
        repeats = token == last[..., None]
        extends = torch.where(repeats, blank[..., None], total[..., None]) + label_gains[:, None, frame]
        present = (is_extension[..., None] & repeats[:, :, None]).any(dim=1)  # (batch, parents, choices)
        extends = extends.masked_fill(present | (length == max_length)[..., None], NEG_INF)

        candidates = torch.cat([torch.logaddexp(stays_blank, stays_nonblank), extends.flatten(1)], dim=1)
        best, index = candidates.topk(min(beam, candidates.size(1)))
        extended, choice = index >= width, (index - width).clamp(min=0)
        origin = torch.where(extended, choice // choices, index)
        token = labels[:, frame].gather(1, choice % choices).masked_fill(~extended, PAD)
        history.append((origin, token))

        blank = stays_blank.gather(1, origin).masked_fill(extended, NEG_INF)
        nonblank = torch.where(extended, best, stays_nonblank.gather(1, origin))
        last = torch.where(extended, token, last.gather(1, origin))
        length = length.gather(1, origin) + extended
        origin_key, origin_parent = key.gather(1, origin), parent.gather(1, origin)
        key = torch.where(extended, origin_key * PREFIX_HASH_MULTIPLIER + token, origin_key)
        parent = torch.where(extended, origin_key, origin_parent)

    scores = torch.logaddexp(blank, nonblank)
    line = torch.arange(scores.size(1), device=scores.device).expand_as(scores)
    emitted = []
    for origin, token in reversed(history):
        emitted.append(token.gather(1, line))
        line = origin.gather(1, line)
    return torch.stack(emitted[::-1], dim=-1), scores
