"""The dimensions of the space that ``tune`` searches."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.common.errors import UsageError

if TYPE_CHECKING:
    import optuna

LOG_SCALE_RATIO = 10  # a range whose end is so many times its start is searched on a logarithmic scale


@dataclass(frozen=True)
class SearchDimension:
    """A setting and its possible values: some given ones, or a range from ``low`` to ``high``."""

    setting: str
    values: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    is_integer: bool = False

    @classmethod
    def parse(cls, text: str) -> "SearchDimension":
        """Parse SETTING=LOW..HIGH or SETTING=VALUE,VALUE.

        Raises:
            UsageError: for anything else.
        """
        setting, equals, values = text.partition("=")
        low, dots, high = values.partition("..")
        if not setting or not equals or not values or "=" in values:
            raise UsageError(f"--space {text}: expected SETTING=LOW..HIGH or SETTING=VALUE,VALUE")
        if not dots:
            if not all(values.split(",")):
                raise UsageError(f"--space {text}: there is an empty value between the commas")
            return cls(setting, tuple(values.split(",")))
        try:
            ends = float(low), float(high)
        except ValueError as error:
            raise UsageError(f"--space {text}: the ends of a range must be numbers") from error
        if not ends[0] < ends[1]:
            raise UsageError(f"--space {text}: the second number of a range must be the larger one")
        return cls(setting, (), *ends, is_integer=low.strip("-").isdecimal() and high.strip("-").isdecimal())

    def examples(self) -> list[str]:
        """Return SETTING=VALUE for each value, or for both ends of a range."""
        ends = [str(int(end)) if self.is_integer else repr(end) for end in (self.low, self.high)]
        return [f"{self.setting}={value}" for value in self.values or ends]

    def suggest(self, trial: "optuna.Trial") -> str:
        """Choose the value for a trial, as SETTING=VALUE."""
        if self.values:
            return f"{self.setting}={trial.suggest_categorical(self.setting, self.values)}"
        log = self.low > 0 and self.high >= LOG_SCALE_RATIO * self.low
        if self.is_integer:
            return f"{self.setting}={trial.suggest_int(self.setting, int(self.low), int(self.high), log=log)}"
        return f"{self.setting}={trial.suggest_float(self.setting, self.low, self.high, log=log)!r}"
