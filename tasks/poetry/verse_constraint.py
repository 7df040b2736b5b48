"""Verse forms as a constraint on the search: characters per line, number of lines, rhymes of even lines."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from decoders.base import EOS, NEG_INF
from tasks.common.text.tokenizer import Tokenizer
from tasks.poetry.verse import LINE_SEPARATOR, num_characters, rhyme_class

NO_RHYME = -1
SPACE = "·"  # the mark of a space in displayed tokens


@dataclass(frozen=True)
class VerseFeatures:
    """Properties of each token of a vocabulary that matter in a line of verse.

    Attributes:
        num_characters: Chinese characters; 0 for tokens that contain anything else.
        rhymes: Rhyme of the last character, or NO_RHYME.
        last_characters: The last character, as its code point.
        is_space: Whether the token is the mark of a space alone, as at the beginning of a text.
        has_space: Whether the token begins with this mark.
        line_separator_id: The token that separates lines; EOS if the vocabulary has none.
    """

    num_characters: Int[Tensor, " vocab"]
    rhymes: Int[Tensor, " vocab"]
    last_characters: Int[Tensor, " vocab"]
    is_space: Bool[Tensor, " vocab"]
    has_space: Bool[Tensor, " vocab"]
    line_separator_id: int

    @classmethod
    def from_tokenizer(cls, tokenizer: Tokenizer) -> "VerseFeatures":
        """Look up the characters of all tokens in a dictionary of pronunciations."""
        tokens = tokenizer.display_tokens(range(len(tokenizer)))
        texts = [token.replace(SPACE, "") for token in tokens]
        counts = [num_characters(text) if num_characters(text) == len(text) else 0 for text in texts]
        rhymes = [rhyme_class(text[-1]) if count else None for text, count in zip(texts, counts, strict=True)]
        return cls(
            torch.tensor(counts),
            torch.tensor([NO_RHYME if rhyme is None else rhyme for rhyme in rhymes]),
            torch.tensor([ord(text[-1]) if text else 0 for text in texts]),
            torch.tensor([token == SPACE for token in tokens]),
            torch.tensor([token.startswith(SPACE) for token in tokens]),
            tokens.index(LINE_SEPARATOR) if LINE_SEPARATOR in tokens else EOS,
        )

    def to(self, device: torch.device) -> "VerseFeatures":
        tensors = (self.num_characters, self.rhymes, self.last_characters, self.is_space, self.has_space)
        return VerseFeatures(*(tensor.to(device) for tensor in tensors), line_separator_id=self.line_separator_id)


class VerseConstraint:
    """Mask tokens that would break the verse form, in place (``decoders.base.Constraint``)."""

    def __init__(
        self,
        features: VerseFeatures,
        given_lines: Sequence[Sequence[str]],
        line_lengths: Sequence[Sequence[int]],
        *,
        rhymed: bool,
    ):
        """Prepare the constraint for a batch of sentences.

        Args:
            features: Features of the target vocabulary, on the device of the search.
            given_lines: The lines that exist already, for each sentence.
            line_lengths: The number of characters of each line to generate, for each sentence.
            rhymed: Make every even line of a poem but the second end on the rhyme of the second, and on another
                character.
        """
        device = features.num_characters.device
        self.features, self.rhymed = features, rhymed
        self.line_lengths = pad_sequence([torch.tensor(each) for each in line_lengths], batch_first=True).to(device)
        self.num_lines = torch.tensor([len(each) for each in line_lengths], device=device)
        self.num_given = torch.tensor([len(lines) for lines in given_lines], device=device)
        ends = [lines[1][-1] if len(lines) > 1 else "" for lines in given_lines]
        rhymes = [rhyme_class(end) if end else None for end in ends]
        self.given_rhymes = torch.tensor([NO_RHYME if rhyme is None else rhyme for rhyme in rhymes], device=device)
        self.given_ends = torch.tensor([ord(end) if end else 0 for end in ends], device=device)

    def __call__(
        self,
        log_probabilities: Float[Tensor, "rows vocab"],
        tokens: Int[Tensor, "rows length"],
        batch_index: Int[Tensor, " rows"],
    ) -> None:
        """Mask the next token's log-probabilities of each hypothesis.

        Args:
            log_probabilities: Log-probabilities of the next token; changed in place.
            tokens: The tokens so far.
            batch_index: The sentence of each hypothesis.
        """
        features = self.features
        is_separator = tokens == features.line_separator_id
        line = is_separator.sum(dim=1)  # index of the current line among those to generate
        total = features.num_characters[tokens].cumsum(dim=1)
        in_earlier_lines = (total * is_separator).amax(dim=1) if tokens.size(1) else total.new_zeros(len(tokens))
        so_far = total[:, -1] if tokens.size(1) else in_earlier_lines
        line_length = self.line_lengths[batch_index].gather(1, line.clamp(max=self.line_lengths.size(1) - 1)[:, None])
        left = line_length.squeeze(1) - (so_far - in_earlier_lines)
        allowed = (features.num_characters > 0) & (features.num_characters <= left[:, None])
        allowed = allowed & ~features.has_space if tokens.size(1) else allowed | features.is_space
        if self.rhymed:
            rhyme, rhyme_end = self.required_rhyme(tokens, is_separator, batch_index)
            must_rhyme = ((self.num_given[batch_index] + line) % 2 == 1) & (rhyme != NO_RHYME)
            ends_line = features.num_characters == left[:, None]
            is_wrong = (features.rhymes != rhyme[:, None]) | (features.last_characters == rhyme_end[:, None])
            allowed &= ~(ends_line & must_rhyme[:, None] & is_wrong)
        is_full = left <= 0
        is_last_line = line + 1 >= self.num_lines[batch_index]
        allowed[:, features.line_separator_id] = is_full & ~is_last_line
        allowed[:, EOS] = is_full & is_last_line
        log_probabilities.masked_fill_(~allowed, NEG_INF)

    def required_rhyme(
        self,
        tokens: Int[Tensor, "rows length"],
        is_separator: Bool[Tensor, "rows length"],
        batch_index: Int[Tensor, " rows"],
    ) -> tuple[Int[Tensor, " rows"], Int[Tensor, " rows"]]:
        """Return the rhyme and the last character of each poem's second line; NO_RHYME and 0 where it is unfinished."""
        given, given_ends = self.given_rhymes[batch_index], self.given_ends[batch_index]
        if not tokens.size(1):
            return given, given_ends
        # The second line of the poem, given lines included, ends before the separator of the line with index 1.
        line = is_separator.cumsum(dim=1) - 1 + self.num_given[batch_index][:, None]
        ends_second = is_separator & (line == 1)
        previous = tokens.roll(1, dims=1)
        generated = torch.where(ends_second, self.features.rhymes[previous], NO_RHYME).amax(dim=1)
        generated_ends = torch.where(ends_second, self.features.last_characters[previous], 0).amax(dim=1)
        is_given = given != NO_RHYME
        return torch.where(is_given, given, generated), torch.where(is_given, given_ends, generated_ends)
