"""CTC: every frame of the memory writes a token or nothing (Graves et al. 2006)."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional
from torchaudio.functional import forced_align

from decoders.base import BOS, EOS, PAD, Constraint, Decoder
from decoders.search_config import Hypothesis, SearchConfig
from encoders.base import Memory

NEG_INF = float("-inf")
MULTIPLIER = 6364136223846793005  # of the keys by which a search tells prefixes apart (Knuth's, modulo 2^64)


class CTC(Decoder):
    """Connectionist temporal classification: one linear map from each state of the memory to the vocabulary.

    A frame's blank is PAD, which no sentence contains. A sentence is what remains of a path through the frames when
    repeated entries are merged and blanks left out; its probability is the sum over all such paths. The frames
    must be at least as many as the tokens, and one more for each token that follows its equal.
    """

    def __init__(self, memory_dim: int, vocab: int, *, dropout: float = 0.0):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(memory_dim, vocab)

    def log_probabilities(self, memory: Memory) -> Float[Tensor, "batch source vocab"]:
        """Of each frame's entries, in float32. Begin and end of sentence are never written: -inf."""
        logits = self.output(self.dropout(memory.states)).float()
        unwritten = torch.tensor([BOS, EOS], device=logits.device)
        return logits.index_fill(-1, unwritten, NEG_INF).log_softmax(dim=-1)

    def loss(
        self,
        tokens: Int[Tensor, "batch target"],
        memory: Memory,
        *,
        label_smoothing: float = 0.0,
        teacher_forcing: float = 1.0,
    ) -> Float[Tensor, ""]:
        """-log p(sentence | memory). A sentence too long for its frames counts nothing."""
        return sentence_losses(self.log_probabilities(memory), tokens, is_word(tokens), memory.mask).sum()

    @torch.inference_mode()
    def search(
        self, memory: Memory, config: SearchConfig, constraint: Constraint | None = None
    ) -> list[list[Hypothesis]]:
        """The best path with a beam of 1, else the best prefixes; see ``greedy_search`` and ``prefix_beam_search``.

        An empty sentence is possible, whatever ``min_length``. A score is the sentence's log-probability: with no
        end of sentence to be tempted by, no length penalty is applied.
        """
        check_frame_synchronous(config, constraint)
        log_probabilities = self.log_probabilities(memory)
        if config.beam == 1:
            written, scores = greedy_search(log_probabilities, memory.mask, config.max_length)
        else:
            written, scores = prefix_beam_search(log_probabilities, memory.mask, config.beam, config.max_length)
        return [
            [
                Hypothesis([token for token in line if token != PAD], score)
                for line, score in zip(lines[: config.n_best], row[: config.n_best], strict=True)
                if score > NEG_INF
            ]
            for lines, row in zip(written.tolist(), scores.tolist(), strict=True)
        ]

    @torch.no_grad()
    def alignment(self, tokens: Int[Tensor, "batch target"], memory: Memory) -> Float[Tensor, "batch words source"]:
        """For each token between begin and end, the frames that write it on the best path, with equal weights.

        The rows of a sentence too long for its frames, and those of padding, are zero.
        """
        log_probabilities = self.log_probabilities(memory)
        weights = log_probabilities.new_zeros(tokens.size(0), tokens.size(1) - 2, memory.mask.size(1))
        for row, (line, real, frames) in enumerate(
            zip(tokens, is_word(tokens), memory.mask.sum(dim=1).tolist(), strict=True)
        ):
            words = line[real]
            repeats = int((words[1:] == words[:-1]).sum())
            if 0 < len(words) <= frames - repeats:
                path, _ = forced_align(log_probabilities[row : row + 1, :frames], words[None], blank=PAD)
                number = label_onsets(path)[0].cumsum(dim=0) - 1  # of the word that a frame belongs to
                carrying = (path[0] != PAD).nonzero().squeeze(1)
                weights[row, number[carrying], carrying] = 1.0
        return weights / weights.sum(dim=-1, keepdim=True).clamp(min=1.0)


def check_frame_synchronous(config: SearchConfig, constraint: Constraint | None) -> None:
    """Raise ValueError for options that only token-by-token decoders can follow."""
    refused = {
        "sample": config.sample,
        "block-ngrams": config.no_repeat_ngram > 0,
        "coverage-penalty": config.coverage_penalty > 0,
        "ctc-weight": config.ctc_weight is not None,
        "form": constraint is not None,
    }
    for flag, wanted in refused.items():
        if wanted:
            raise ValueError(
                f"--{flag} needs a decoder that writes token by token; "
                "leave it out, or train with --decoder.kind recurrent"
            )


def is_word(tokens: Int[Tensor, "*positions"]) -> Bool[Tensor, "*positions"]:
    """Which tokens CTC has to write: all but padding, begin and end."""
    return (tokens != PAD) & (tokens != BOS) & (tokens != EOS)


def label_onsets(path: Int[Tensor, "batch source"]) -> Bool[Tensor, "batch source"]:
    """Where a path writes a token that it did not write in the frame before."""
    return (path != PAD) & (path != functional.pad(path[:, :-1], (1, 0), value=PAD))


def sentence_losses(
    log_probabilities: Float[Tensor, "batch source vocab"],
    tokens: Int[Tensor, "batch target"],
    real: Bool[Tensor, "batch target"],
    mask: Bool[Tensor, "batch source"],
) -> Float[Tensor, " batch"]:
    """-log p of the sentences made of the ``real`` ones among ``tokens``; 0 where that is infinite."""
    # The gradient at an entry of -inf would be NaN, even though no sentence contains it.
    finite = log_probabilities.clamp(min=torch.finfo(log_probabilities.dtype).min)
    return functional.ctc_loss(
        finite.transpose(0, 1),
        tokens[real],
        mask.sum(dim=1),
        real.sum(dim=1),
        blank=PAD,
        reduction="none",
        zero_infinity=True,
    )


def greedy_search(
    log_probabilities: Float[Tensor, "batch source vocab"], mask: Bool[Tensor, "batch source"], max_length: int
) -> tuple[Int[Tensor, "batch 1 source"], Float[Tensor, "batch 1"]]:
    """What the most probable entries of the frames write, cut at ``max_length`` words: greedy.

    Returns what each frame adds to the sentence (PAD: nothing), and the log-probability of the sentence, not of the
    one path.
    """
    blank, words = log_probabilities[..., PAD], log_probabilities[..., EOS + 1 :]
    best, word = words.max(dim=-1)
    path = torch.where((best > blank) & mask, word + EOS + 1, PAD)
    first = label_onsets(path)
    first &= first.cumsum(dim=1) <= max_length
    scores = -sentence_losses(log_probabilities, path, first, mask)
    return torch.where(first, path, PAD)[:, None], scores[:, None]


def prefix_beam_search(
    log_probabilities: Float[Tensor, "batch source vocab"],
    mask: Bool[Tensor, "batch source"],
    beam: int,
    max_length: int,
) -> tuple[Int[Tensor, "batch beam source"], Float[Tensor, "batch beam"]]:
    """Prefix beam search (Hannun et al. 2014), frame by frame, all sentences and prefixes at once.

    A prefix is what the frames so far have written. It is kept with the log-probabilities of the paths that end in
    a blank and of those that end in its last token, for only after a blank does the same token count again. A frame
    leaves a prefix as it is or makes it one token longer; the ``beam`` most probable remain. Paths that lead to the
    same prefix are added up: the search knows a prefix by a key, and the one it grew from by ``parent``.

    Returns what each frame adds to the best prefixes (PAD: nothing), and their log-probabilities, best first; -inf
    where there are fewer than ``beam``.
    """
    batch_size, num_frames, _ = log_probabilities.shape
    blanks = log_probabilities[..., PAD].masked_fill(~mask, 0.0)  # padding is one sure blank after the other
    gains = log_probabilities.masked_fill(~mask[..., None], NEG_INF)
    # Twice the beam is enough to lose nothing: of a prefix' best tokens, one may be its own last, and fewer than the
    # beam may lead to prefixes that are there already.
    words = gains[..., EOS + 1 :]
    word_gains, words = words.topk(min(2 * beam, words.size(-1)))
    words = words + EOS + 1  # (batch, source, choices)
    choices = words.size(-1)

    blank = gains.new_zeros(
        batch_size, 1
    )  # log-probabilities of paths to each prefix that end in a blank, (batch, beam)
    nonblank = torch.full_like(blank, NEG_INF)
    last = words.new_full((batch_size, 1), PAD)
    key, parent, length = torch.ones_like(last), torch.zeros_like(last), torch.zeros_like(last)
    steps: list[tuple[Tensor, Tensor]] = []  # from which prefix each came, and by which token
    for frame in range(num_frames):
        total = torch.logaddexp(blank, nonblank)
        width = total.size(1)

        # A prefix stays: by a blank, by its last token once more, or because its parent, also in the beam, grows to it.
        grew_from = (parent[:, :, None] == key[:, None]) & (total > NEG_INF)[..., None]  # (batch, beam, parents)
        free = torch.where(last[:, :, None] == last[:, None], blank[:, None], total[:, None])
        prefix_alpha = free.masked_fill(~grew_from, NEG_INF).amax(dim=2)
        stays_nonblank = torch.logaddexp(nonblank, prefix_alpha) + gains[:, frame].gather(1, last)
        stays_blank = total + blanks[:, frame, None]

        # Or it grows by one of the frame's best tokens, unless that prefix is there already, or too long.
        token = words[:, None, frame]  # (batch, 1, choices)
        repeats = token == last[..., None]
        grows = torch.where(repeats, blank[..., None], total[..., None]) + word_gains[:, None, frame]
        present = (grew_from[..., None] & repeats[:, :, None]).any(dim=1)  # (batch, parents, choices)
        grows = grows.masked_fill(present | (length == max_length)[..., None], NEG_INF)

        candidates = torch.cat([torch.logaddexp(stays_blank, stays_nonblank), grows.flatten(1)], dim=1)
        best, index = candidates.topk(min(beam, candidates.size(1)))
        grown, choice = index >= width, (index - width).clamp(min=0)
        origin = torch.where(grown, choice // choices, index)
        token = words[:, frame].gather(1, choice % choices).masked_fill(~grown, PAD)
        steps.append((origin, token))

        blank = stays_blank.gather(1, origin).masked_fill(grown, NEG_INF)
        nonblank = torch.where(grown, best, stays_nonblank.gather(1, origin))
        last = torch.where(grown, token, last.gather(1, origin))
        length = length.gather(1, origin) + grown
        before, grandparent = key.gather(1, origin), parent.gather(1, origin)
        key = torch.where(grown, before * MULTIPLIER + token, before)
        parent = torch.where(grown, before, grandparent)

    scores = torch.logaddexp(blank, nonblank)
    line = torch.arange(scores.size(1), device=scores.device).expand_as(scores)
    written = []
    for origin, token in reversed(steps):
        written.append(token.gather(1, line))
        line = origin.gather(1, line)
    return torch.stack(written[::-1], dim=-1), scores
