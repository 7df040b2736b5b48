"""The RNN-transducer: at each frame, any number of words and then a blank (Graves 2012)."""

from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from torchaudio.functional import rnnt_loss

from decoders.base import BOS, EOS, PAD, UNK, Constraint, Decoder
from decoders.ctc import MULTIPLIER, NEG_INF, check_frame_synchronous, is_word
from decoders.recurrent import RecurrentDecoder
from decoders.search_config import Hypothesis, SearchConfig
from encoders.base import Memory


class Transducer(Decoder):
    """A lattice of frames and words: a blank goes on to the next frame, a word is written without leaving the frame.

    What is written next, with t frames heard and u words written, is

        p(. | t, u) = softmax(W tanh(A h_t + g_u)),

    h_t the memory's state and g_u the readout of ``predictor``, which has read the begin and u words. The blank is
    PAD, which no sentence contains. A sentence's probability is the sum over all ways through the lattice, from no
    word at the first frame to the blank of the last. W is the predictor's own output matrix, tied to its embedding
    if that is tied.

    With attention.Blind the predictor is a language model, and this the transducer of Graves 2012; with any other
    attention each word looks at the whole memory, as in Prabhavalkar et al. 2017.
    """

    def __init__(self, predictor: RecurrentDecoder, memory_dim: int, *, dropout: float = 0.0):
        super().__init__()
        self.predictor = predictor
        self.dropout = nn.Dropout(dropout)
        self.listen = nn.Linear(memory_dim, predictor.readout_dim)

    def frames(self, memory: Memory) -> Float[Tensor, "batch source joint"]:
        """The frames' part of the joint network."""
        return self.listen(self.dropout(memory.states))

    def scores(
        self, frames: Float[Tensor, "*#grid joint"], readouts: Float[Tensor, "*#grid joint"]
    ) -> Float[Tensor, "*grid vocab"]:
        """Log-probabilities in float32. Begin and end of sentence are never written: -inf."""
        output = self.predictor.output
        # Forbidden in the bias, not in the logits: over a whole lattice they are too large to be touched once more.
        bias = output.bias.index_fill(0, torch.tensor([BOS, EOS], device=output.bias.device), NEG_INF)
        logits = functional.linear((frames + readouts).tanh_(), output.weight, bias)
        return logits.float().log_softmax(dim=-1)

    def lattice(
        self, words: Int[Tensor, "batch target"], memory: Memory
    ) -> Float[Tensor, "batch source positions entries"]:
        """At each frame and each number of written words, log-probabilities of the blank and of the next word.

        ``words`` are sentences without begin and end, padded; positions are one more than they. This takes batch ×
        source × positions × the readout's size floats until the gradient is there, and about four times as many
        at the peak: the largest tensor by far.
        """
        inputs = functional.pad(words, (1, 0), value=BOS)
        readouts = self.predictor(inputs, memory).features
        scores = self.scores(self.frames(memory)[:, :, None], readouts[:, None])
        following = functional.pad(words, (0, 1), value=PAD)[:, None, :, None].expand(-1, scores.size(1), -1, -1)
        return torch.cat([scores[..., PAD, None], scores.gather(-1, following)], dim=-1)

    def loss(
        self,
        tokens: Int[Tensor, "batch target"],
        memory: Memory,
        *,
        label_smoothing: float = 0.0,
        teacher_forcing: float = 1.0,
    ) -> Float[Tensor, ""]:
        """-log p(sentence | memory). Empty sentences have one, and so have those longer than their frames."""
        words, lengths = cut(tokens)
        return sentence_losses(self.lattice(words, memory), lengths, memory.mask.sum(dim=1)).sum()

    def alignment(self, tokens: Int[Tensor, "batch target"], memory: Memory) -> Float[Tensor, "batch words source"]:
        """For each token between begin and end, the probability of each frame to be where it is written.

        Given the whole sentence, that is, and whether the predictor attends or not. Each row sums to one; those of
        padding are zero.
        """
        words, lengths = cut(tokens)
        with torch.no_grad():
            lattice = self.lattice(words, memory)
        # How the sentence's log-probability follows the word's in a cell is the word's probability to be written there.
        with torch.inference_mode(False), torch.enable_grad():
            lattice = lattice.clone().requires_grad_()
            attention_losses = sentence_losses(lattice, lengths, memory.mask.sum(dim=1))
            (gradient,) = torch.autograd.grad(attention_losses.sum(), lattice)
        written = -gradient[:, :, :-1, 1].transpose(1, 2)  # (batch, longest, source)
        written = functional.pad(written, (0, 0, 0, tokens.size(1) - 2 - words.size(1)))
        # float32 makes the sums one only to about a thousandth in long sentences.
        return written / written.sum(dim=-1, keepdim=True).clamp(min=torch.finfo(written.dtype).tiny)

    @torch.inference_mode()
    def search(
        self, memory: Memory, config: SearchConfig, constraint: Constraint | None = None
    ) -> list[list[Hypothesis]]:
        """Alignment-length synchronous decoding (Saon et al. 2020), all sentences and hypotheses at once.

        After i steps a hypothesis with u words has i - u frames behind it; a step writes a word or a blank, and the
        ``beam`` best remain. One that has left the last frame is finished. A sentence is done, and leaves the batch,
        when all its unfinished hypotheses together are not more probable than the last of its ``n_best`` finished.

        A beam of 1 is greedy. An empty sentence is possible, whatever ``min_length``. A score is the sentence's
        log-probability, as far as its ways were kept in the beam; no length penalty is applied.
        """
        check_frame_synchronous(config, constraint)
        frames, num_frames = self.frames(memory), memory.mask.sum(dim=1)
        active = torch.arange(len(num_frames), device=frames.device)  # which sentences are not done
        found: list[list[Hypothesis]] = [[] for _ in active]
        best = frames.new_full(
            (len(active), config.n_best), NEG_INF, dtype=torch.float32
        )  # finished scores of the live
        beam = Beam.start(len(active), frames.device)
        _, state = self.predictor.step(beam.last.flatten(), self.predictor.start(memory))
        for step in range(frames.size(1) + config.max_length):
            row = torch.arange(len(active), device=frames.device)[:, None]
            frame = frames[row, (step - beam.length).clamp(max=frames.size(1) - 1)]  # (sentences, beam, joint)
            gains = self.scores(frame, state.readout.view_as(frame))
            gains[..., UNK] = NEG_INF
            gains[..., EOS + 1 :].masked_fill_((beam.length == config.max_length)[..., None], NEG_INF)
            origin = row * beam.total.size(1)
            beam, parents = beam.extend(gains, config.beam)
            origin = origin + parents

            finished = (step + 1 - beam.length == num_frames[:, None]) & (beam.total > NEG_INF)
            if finished.any():
                source_index = active[:, None].expand_as(finished)[finished]
                for each in zip(
                    source_index.tolist(), beam.path[finished].tolist(), beam.total[finished].tolist(), strict=True
                ):
                    sentence, path, score = each
                    found[sentence].append(Hypothesis([token for token in path if token != PAD], score))
                best = torch.cat([best, beam.total.masked_fill(~finished, NEG_INF)], dim=1).topk(config.n_best).values
                beam.total.masked_fill_(finished, NEG_INF)
                unfinished = (beam.total.logsumexp(dim=1) > best[:, -1]).nonzero().squeeze(1)
                if len(unfinished) == 0:
                    break
                beam = beam.select(unfinished)
                active, best, frames, num_frames, origin = (
                    x[unfinished] for x in (active, best, frames, num_frames, origin)
                )

            # Who has written a blank has nothing new to read.
            token = beam.path[..., -1].flatten()
            state = state.select(origin)
            state = self.predictor.step(token, state)[1].where(token != PAD, state)
        return [sorted(each, key=lambda one: -one.score)[: config.n_best] for each in found]


@dataclass(frozen=True)
class Beam:
    """The unfinished hypotheses of a search, sentences × beam.

    ``total``: log-probabilities. A hypothesis is known by the ``key`` of its words, and the one that it grew from,
    without its ``last`` word, by ``parent``. ``path``: what each step has written, PAD for a blank.
    """

    total: Float[Tensor, "sentences beam"]
    key: Int[Tensor, "sentences beam"]
    parent: Int[Tensor, "sentences beam"]
    last: Int[Tensor, "sentences beam"]
    length: Int[Tensor, "sentences beam"]
    path: Int[Tensor, "sentences beam steps"]

    @classmethod
    def start(cls, sentences: int, device: torch.device) -> "Beam":
        """One hypothesis a sentence, with no words."""
        zero = torch.zeros(sentences, 1, dtype=torch.long, device=device)
        return cls(zero.float(), zero + 1, zero, zero + BOS, zero, zero[..., None][..., :0])

    def select(self, sentences: Int[Tensor, " rows"]) -> "Beam":
        return Beam(*(getattr(self, field.name)[sentences] for field in fields(self)))

    def extend(
        self, gains: Float[Tensor, "sentences beam vocab"], width: int
    ) -> tuple["Beam", Int[Tensor, "sentences wider"]]:
        """The best after one more step, and the place in the beam each came from. PAD in ``gains`` is the blank.

        Two ways to the same words in as many steps are at the same frame, and become one: who writes a blank is
        joined by its parent, if that is still there, writing the last word. Hypotheses of which one only begins the
        other are not added up (Graves 2012 does, at more cost).
        """
        totals = self.total[..., None] + gains
        grew_from = (self.parent[:, None] == self.key[..., None]) & (self.total > NEG_INF)[:, None]
        last = self.last[:, None].expand_as(grew_from)  # (sentences, parents, beam)
        prefix_alpha = totals.gather(2, last).masked_fill(~grew_from, NEG_INF).amax(dim=1)
        totals.scatter_(2, torch.where(grew_from, last, BOS), NEG_INF)  # where no parent grows: what is never written
        totals[..., PAD] = torch.logaddexp(totals[..., PAD], prefix_alpha)

        vocab = totals.size(2)
        total, index = totals.flatten(1).topk(min(width, totals.size(1) * vocab))
        origin, token = index // vocab, index % vocab
        wrote = token != PAD
        key, parent, last, length = (each.gather(1, origin) for each in (self.key, self.parent, self.last, self.length))
        extended = Beam(
            total,
            torch.where(wrote, key * MULTIPLIER + token, key),
            torch.where(wrote, key, parent),
            torch.where(wrote, token, last),
            length + wrote,
            torch.cat([self.path.take_along_dim(origin[..., None], dim=1), token[..., None]], dim=-1),
        )
        return extended, origin


def cut(tokens: Int[Tensor, "batch target"]) -> tuple[Int[Tensor, "batch longest"], Int[Tensor, " batch"]]:
    """Sentences without begin and end, padded to the longest of them, and their lengths."""
    words = is_word(tokens)
    lengths = words.sum(dim=1)
    return torch.where(words, tokens, PAD)[:, 1 : 1 + int(lengths.max())], lengths


def sentence_losses(
    lattice: Float[Tensor, "batch source positions 2"],
    lengths: Int[Tensor, " batch"],
    num_frames: Int[Tensor, " batch"],
) -> Float[Tensor, " batch"]:
    """-log of the sum over all ways through the lattice's first ``num_frames`` and ``lengths``.

    For torchaudio this is a vocabulary of a blank and one word: most of its time goes into the others.
    """
    words = torch.ones(lattice.size(0), lattice.size(2) - 1, dtype=torch.int32, device=lattice.device)
    return rnnt_loss(
        lattice[:, : int(num_frames.max())].contiguous(),
        words,
        num_frames.int(),
        lengths.int(),
        blank=0,
        reduction="none",
        fused_log_softmax=False,
    )
