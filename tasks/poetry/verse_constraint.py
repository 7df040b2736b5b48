"""The form of verse as a constraint on the search: so many characters a line, so many lines, even lines that rhyme."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from decoders.base import EOS
from decoders.base import NEG_INF
from tasks.common.text.tokenizer import Tokenizer
from tasks.poetry.verse import LINE, rhyme, size

NO_RHYME = -1


@dataclass(frozen=True)
class VerseFeatures:
    """What every entry of a vocabulary is to a line of verse."""

    sizes: Int[Tensor, " vocab"]  # Chinese characters; 0 for all that is not made of them alone
    rhymes: Int[Tensor, " vocab"]  # of the last character; NO_RHYME where there is none
    lasts: Int[Tensor, " vocab"]  # the last character itself, by its code
    space: Bool[Tensor, " vocab"]  # the mark that stands in front of a text, by itself
    begins: Bool[Tensor, " vocab"]  # what has that mark in front
    line: int  # what parts lines

    @classmethod
    def of(cls, vocabulary: Tokenizer) -> "VerseFeatures":
        texts = vocabulary.display_tokens(range(len(vocabulary)))
        plain = [text.replace("·", "") for text in texts]
        sizes = [size(text) if size(text) == len(text) else 0 for text in plain]
        rhymes = [rhyme(text[-1]) if count else None for text, count in zip(plain, sizes, strict=True)]
        numbers = [NO_RHYME if number is None else number for number in rhymes]
        return cls(
            torch.tensor(sizes),
            torch.tensor(numbers),
            torch.tensor([ord(text[-1]) if text else 0 for text in plain]),
            torch.tensor([text == "·" for text in texts]),
            torch.tensor([text.startswith("·") for text in texts]),
            texts.index(LINE) if LINE in texts else EOS,
        )

    def to(self, device: torch.device) -> "VerseFeatures":
        tensors = (self.sizes, self.rhymes, self.lasts, self.space, self.begins)
        return VerseFeatures(*(tensor.to(device) for tensor in tensors), line=self.line)


class VerseConstraint:
    """Makes impossible, in place, what would break the form (decoders.base.Constraint).

    Each sentence has ``wanted`` characters in each line that is still to be written. Where ``rhymed``, every even line
    of the poem but the second ends on that one's rhyme, and on another character.
    """

    def __init__(
        self, signs: VerseFeatures, given: Sequence[Sequence[str]], wanted: Sequence[Sequence[int]], rhymed: bool
    ):
        """``given``: the lines that each sentence's poem has already."""
        device = signs.sizes.device
        self.signs, self.rhymed = signs, rhymed
        self.wanted = pad_sequence([torch.tensor(sizes) for sizes in wanted], batch_first=True).to(device)
        self.counts = torch.tensor([len(sizes) for sizes in wanted], device=device)
        self.firsts = torch.tensor([len(lines) for lines in given], device=device)
        ends = [lines[1][-1] if len(lines) > 1 else "" for lines in given]
        known = [rhyme(end) if end else None for end in ends]
        self.known = torch.tensor([NO_RHYME if number is None else number for number in known], device=device)
        self.known_lasts = torch.tensor([ord(end) if end else 0 for end in ends], device=device)

    def __call__(
        self,
        log_probabilities: Float[Tensor, "rows vocab"],
        written: Int[Tensor, "rows length"],
        sentences: Int[Tensor, " rows"],
    ) -> None:
        signs = self.signs
        parted = written == signs.line
        line = parted.sum(dim=1)  # which of the lines to be written this one is
        sums = signs.sizes[written].cumsum(dim=1)
        before = (sums * parted).amax(dim=1) if written.size(1) else sums.new_zeros(len(written))
        total = sums[:, -1] if written.size(1) else before
        wanted = self.wanted[sentences].gather(1, line.clamp(max=self.wanted.size(1) - 1)[:, None])
        left = wanted.squeeze(1) - (total - before)
        allowed = (signs.sizes > 0) & (signs.sizes <= left[:, None])
        allowed = allowed & ~signs.begins if written.size(1) else allowed | signs.space
        if self.rhymed:
            asked, last_one = self.asked(written, parted, sentences)
            even = ((self.firsts[sentences] + line) % 2 == 1) & (asked != NO_RHYME)
            ends = signs.sizes == left[:, None]
            wrong = (signs.rhymes != asked[:, None]) | (signs.lasts == last_one[:, None])
            allowed &= ~(ends & even[:, None] & wrong)
        full = left <= 0
        last = line + 1 >= self.counts[sentences]
        allowed[:, signs.line] = full & ~last
        allowed[:, EOS] = full & last
        log_probabilities.masked_fill_(~allowed, NEG_INF)

    def asked(
        self, written: Int[Tensor, "rows length"], parted: Bool[Tensor, "rows length"], sentences: Int[Tensor, " rows"]
    ) -> tuple[Int[Tensor, " rows"], Int[Tensor, " rows"]]:
        """The rhyme and the last character of each poem's second line, where it is known by now."""
        known, lasts, firsts = self.known[sentences], self.known_lasts[sentences], self.firsts[sentences]
        if not written.size(1):
            return known, lasts
        # The second line ends in front of the mark whose line's number is 1, those that were given counted in.
        numbers = parted.cumsum(dim=1) - 1 + firsts[:, None]
        ends = parted & (numbers == 1)
        before = written.roll(1, dims=1)
        found = torch.where(ends, self.signs.rhymes[before], NO_RHYME).amax(dim=1)
        found_lasts = torch.where(ends, self.signs.lasts[before], 0).amax(dim=1)
        given = known != NO_RHYME
        return torch.where(given, known, found), torch.where(given, lasts, found_lasts)
