"""The RNN-transducer: at each frame, any number of labels and then a blank (Graves 2012)."""

from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from attention.dropout import Dropout
from attention.memory import Memory
from decoders.base import BOS, EOS, NEG_INF, PAD, UNK, Constraint, Decoder, Hypothesis, Loss
from decoders.config import SearchConfig
from decoders.forced_alignment import join_groups, spans_of
from decoders.frame_synchronous import PREFIX_HASH_MULTIPLIER, check_frame_synchronous, strip_bos_eos
from decoders.recurrent import RecurrentDecoder
from decoders.transducer_lattice import LABEL, best_path, forward_backward, path_log_probs


class Transducer(Decoder):
    """A lattice of frames and labels: a blank moves to the next frame, a label is emitted without leaving the frame.

    The distribution after t frames and u labels is

        p(. | t, u) = softmax(W tanh(A h_t + g_u)),

    where h_t is a state of the memory (a frame) and g_u are the features of the prediction network, which has read BOS
    and u labels. The blank is PAD, which no sentence contains. The probability of a sentence is the sum over all paths
    through the lattice, from no label at the first frame to the blank of the last. W is the output matrix of the
    prediction network, tied to its embedding if that is tied.

    With :class:`attention.NoContext` the prediction network is a language model, as in Graves 2012; with any other
    attention each label depends on the whole memory, as in Prabhavalkar et al. 2017.
    """

    has_alignment = True

    def __init__(self, predictor: RecurrentDecoder, memory_dim: int, *, dropout: float = 0.0):
        """``predictor`` is the prediction network, for memories of ``memory_dim`` features."""
        super().__init__()
        self.predictor = predictor
        self.dropout = Dropout(dropout)
        self.frame_proj = nn.Linear(memory_dim, predictor.feature_dim)

    def project_frames(self, memory: Memory) -> Float[Tensor, "batch source joint"]:
        """Return the frames' part of the joint network."""
        return self.frame_proj(self.dropout(memory.states))

    def joint_log_probs(
        self, frames: Float[Tensor, "*#grid joint"], features: Float[Tensor, "*#grid joint"]
    ) -> Float[Tensor, "*grid vocab"]:
        """Return log-probabilities in float32 from projected frames and the prediction network's features.

        Those of BOS and EOS are -inf.
        """
        output = self.predictor.output
        # Masked in the bias, not in the logits: over a whole lattice they are too large for another copy.
        bias = output.bias.index_fill(0, torch.arange(BOS, EOS + 1, device=output.bias.device), NEG_INF)
        logits = functional.linear((frames + features).tanh_(), output.weight, bias)
        return logits.float().log_softmax(dim=-1)

    def lattice(self, labels: Int[Tensor, "batch target"], memory: Memory) -> Float[Tensor, "batch source positions 2"]:
        """Return the log-probabilities of the blank and of the next label, at each frame and each number of labels.

        ``labels`` are sentences without BOS and EOS, padded; there is one more position than labels. This takes batch ×
        source × positions × feature_dim floats until the gradient is computed, and about four times as many at the
        peak: by far the largest tensor.
        """
        inputs = functional.pad(labels, (1, 0), value=BOS)
        features = self.predictor(inputs, memory).features
        log_probs = self.joint_log_probs(self.project_frames(memory)[:, :, None], features[:, None])
        next_labels = functional.pad(labels, (0, 1), value=PAD)[:, None, :, None].expand(-1, log_probs.size(1), -1, -1)
        return torch.cat([log_probs[..., PAD, None], log_probs.gather(-1, next_labels)], dim=-1)

    def loss(
        self,
        tokens: Int[Tensor, "batch target"],
        memory: Memory,
        *,
        label_smoothing: float = 0.0,
        teacher_forcing: float = 1.0,
        num_tokens: int | None = None,
    ) -> Loss:
        """Return -log p(sentence | memory), summed. Sentences may be empty or longer than their frames."""
        labels, lengths = strip_bos_eos(tokens)
        loss = -path_log_probs(self.lattice(labels, memory), memory.mask.sum(dim=1), lengths).sum()
        return Loss(loss, loss.detach())

    @torch.no_grad()
    def alignment(self, tokens: Int[Tensor, "batch target"], memory: Memory) -> Float[Tensor, "batch target-2 source"]:
        """Return, for each token between BOS and EOS, the probability that it is emitted at each frame.

        That is the probability given the whole sentence, with or without attention in the prediction network. Each row
        sums to one; those of padding are zero.
        """
        labels, lengths = strip_bos_eos(tokens)
        _, posteriors = forward_backward(self.lattice(labels, memory), memory.mask.sum(dim=1), lengths)
        return posteriors[:, :, :-1, LABEL].transpose(1, 2)

    @torch.no_grad()
    def state_spans(
        self, tokens: Int[Tensor, "batch target"], groups: Int[Tensor, "batch target"], memory: Memory
    ) -> Int[Tensor, "batch groups 2"]:
        """Return the frames at which a token of the group is the last one, on the best path through the lattice.

        The path emits a label where it is recognized, and then moves through the frames with it. A label that is
        emitted together with the next one has that frame.
        """
        labels, lengths = strip_bos_eos(tokens)
        num_frames = memory.mask.sum(dim=1)
        emitted = best_path(self.lattice(labels, memory), num_frames, lengths)
        left = torch.where(emitted < 0, num_frames[:, None], emitted)[:, 1:]  # where the next label is emitted
        left = torch.cat([left, num_frames[:, None]], dim=1)[:, : labels.size(1)].maximum(emitted + 1)
        frames = torch.arange(memory.mask.size(1), device=emitted.device)
        is_last = (emitted[..., None] >= 0) & (emitted[..., None] <= frames) & (frames < left[..., None])
        return spans_of(join_groups(is_last, groups[:, 1 : 1 + labels.size(1)]))

    @torch.inference_mode()
    def search(
        self, memory: Memory, config: SearchConfig, constraint: Constraint | None = None
    ) -> list[list[Hypothesis]]:
        """Alignment-length synchronous decoding (Saon et al. 2020), for all sentences and hypotheses at once.

        After i steps a hypothesis with u labels has passed i - u frames; a step emits a label or a blank, and the
        ``beam`` best hypotheses remain. One that has passed the last frame is finished. A sentence is done, and leaves
        the batch, when all its unfinished hypotheses together are not more probable than the last of its ``n_best``
        finished ones.

        A beam of 1 is greedy. Scores are the log-probabilities of the sentences, as far as their paths were kept in the
        beam. Without EOS, no length penalty is needed, and a sentence may be empty.
        """
        check_frame_synchronous(config, constraint)
        frames, num_frames = self.project_frames(memory), memory.mask.sum(dim=1)
        active = torch.arange(len(num_frames), device=frames.device)  # sentences that are not done
        finished: list[list[Hypothesis]] = [[] for _ in active]
        # Scores of the best finished hypotheses, of the active sentences.
        finished_scores = frames.new_full((len(active), config.n_best), NEG_INF, dtype=torch.float32)
        beam = Beam.initial(len(active), frames.device)
        _, state = self.predictor.step(beam.last.flatten(), self.predictor.init_state(memory))
        for step in range(frames.size(1) + config.max_length):
            row = torch.arange(len(active), device=frames.device)[:, None]
            frame = frames[row, (step - beam.length).clamp(max=frames.size(1) - 1)]  # (sentences, beam, joint)
            gains = self.joint_log_probs(frame, state.features.view_as(frame))
            gains[..., UNK] = NEG_INF
            gains[..., EOS + 1 :].masked_fill_((beam.length == config.max_length)[..., None], NEG_INF)
            first_hypothesis = row * beam.total.size(1)
            beam, parents = beam.extend(gains, config.beam)
            origin = first_hypothesis + parents

            is_finished = (step + 1 - beam.length == num_frames[:, None]) & (beam.total > NEG_INF)
            if is_finished.any():
                batch_index = active[:, None].expand_as(is_finished)[is_finished].tolist()
                paths, totals = beam.path[is_finished].tolist(), beam.total[is_finished].tolist()
                for sentence, path, score in zip(batch_index, paths, totals, strict=True):
                    finished[sentence].append(Hypothesis([token for token in path if token != PAD], score))
                candidates = torch.cat([finished_scores, beam.total.masked_fill(~is_finished, NEG_INF)], dim=1)
                finished_scores = candidates.topk(config.n_best).values
                beam.total.masked_fill_(is_finished, NEG_INF)
                unfinished = (beam.total.logsumexp(dim=1) > finished_scores[:, -1]).nonzero().squeeze(1)
                if len(unfinished) == 0:
                    break
                beam = beam.select(unfinished)
                active, finished_scores, frames, num_frames, origin = (
                    part[unfinished] for part in (active, finished_scores, frames, num_frames, origin)
                )

            # A blank is no input of the prediction network.
            token = beam.path[..., -1].flatten()
            state = state.reorder(origin)
            state = self.predictor.step(token, state)[1].where(token != PAD, state)
        return [
            sorted(hypotheses, key=lambda hypothesis: -hypothesis.score)[: config.n_best] for hypotheses in finished
        ]


@dataclass(frozen=True)
class Beam:
    """The unfinished hypotheses of a search, sentences × beam.

    Attributes:
        total: Log-probabilities.
        key: Identifies the labels of a hypothesis.
        parent: The key of the hypothesis without its last label.
        last: The last label.
        length: The number of labels.
        path: The output of each step, PAD for a blank.
    """

    total: Float[Tensor, "sentences beam"]
    key: Int[Tensor, "sentences beam"]
    parent: Int[Tensor, "sentences beam"]
    last: Int[Tensor, "sentences beam"]
    length: Int[Tensor, "sentences beam"]
    path: Int[Tensor, "sentences beam steps"]

    @classmethod
    def initial(cls, num_sentences: int, device: torch.device) -> "Beam":
        """Return one hypothesis without labels for each sentence."""
        zero = torch.zeros(num_sentences, 1, dtype=torch.long, device=device)
        return cls(zero.float(), zero + 1, zero, zero + BOS, zero, zero[..., None][..., :0])

    def select(self, sentences: Int[Tensor, " rows"]) -> "Beam":
        """Return the hypotheses of some of the sentences."""
        return Beam(*(getattr(self, field.name)[sentences] for field in fields(self)))

    def extend(
        self, gains: Float[Tensor, "sentences beam vocab"], beam_size: int
    ) -> tuple["Beam", Int[Tensor, "sentences wider"]]:
        """Extend all hypotheses by one step and keep the best.

        Two paths with the same labels and the same number of steps are at the same frame and are merged: a hypothesis
        that emits a blank is merged with its parent, if that is still in the beam, emitting the last label. Hypotheses
        of which one is a prefix of the other are not added up (Graves 2012 does, at a higher cost).

        Args:
            gains: Log-probabilities of the next step; PAD is the blank.
            beam_size: The number of hypotheses to keep.

        Returns:
            The best hypotheses, and the index in the beam from which each was extended.
        """
        totals = self.total[..., None] + gains
        is_extension = (self.parent[:, None] == self.key[..., None]) & (self.total > NEG_INF)[:, None]
        last = self.last[:, None].expand_as(is_extension)  # (sentences, parents, beam)
        prefix_alpha = totals.gather(2, last).masked_fill(~is_extension, NEG_INF).amax(dim=1)
        # A merged path must not be kept twice; without a parent, BOS is masked, which is never emitted.
        totals.scatter_(2, torch.where(is_extension, last, BOS), NEG_INF)
        totals[..., PAD] = torch.logaddexp(totals[..., PAD], prefix_alpha)

        vocab_size = totals.size(2)
        total, index = totals.flatten(1).topk(min(beam_size, totals.size(1) * vocab_size))
        origin, token = index // vocab_size, index % vocab_size
        emits = token != PAD
        key, parent, last, length = (part.gather(1, origin) for part in (self.key, self.parent, self.last, self.length))
        extended = Beam(
            total,
            torch.where(emits, key * PREFIX_HASH_MULTIPLIER + token, key),
            torch.where(emits, key, parent),
            torch.where(emits, token, last),
            length + emits,
            torch.cat([self.path.take_along_dim(origin[..., None], dim=1), token[..., None]], dim=-1),
        )
        return extended, origin
