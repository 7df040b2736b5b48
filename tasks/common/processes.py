"""The processes of a command that shares its work among several, as ``accelerate launch`` starts them."""

import atexit
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar, cast

import torch

from tasks.common.device import is_one_of_several, process_state

if TYPE_CHECKING:
    from accelerate import PartialState

T = TypeVar("T")
SETTLE_S = 0.2  # for threads to finish what they have been waited for


class Processes:
    """This process among those of a command.

    ``share`` takes what this process does of a sequence of work, ``merge`` puts the results of all shares together.

    Attributes:
        rank: The number of this process.
        count: The number of processes.
        is_main: Whether this process writes files and prints.
    """

    def __init__(self):
        """Join the other processes, if there are any."""
        self.state = process_state() if is_one_of_several() else None
        self.rank, self.count = (self.state.process_index, self.state.num_processes) if self.state else (0, 1)
        self.is_main = self.rank == 0
        if self.state:
            atexit.unregister(leave)  # of an earlier command of this program
            atexit.register(leave, self.state)

    def share(self, work: Sequence[T]) -> list[T]:
        """Return this process's share of some work, which all processes know: every so many-th part of it.

        Work that is sorted by its size is divided evenly.
        """
        return [work[place] for place in range(self.rank, len(work), self.count)]

    def merge(self, results: Sequence[T]) -> list[T]:
        """Return the results of all processes in the order of the work that ``share`` has divided."""
        shares = self.gather_objects(results)
        merged = [result for share in shares for result in share]
        for rank, share in enumerate(shares):
            merged[rank :: self.count] = share
        return merged

    def share_of_main(self, work: Iterable[T]) -> Iterable[T]:
        """Return this process's share of work that only the main process can list.

        A process that is alone lists it when it is due.
        """
        if self.count == 1:
            return work
        return self.share(self.from_main(lambda: list(work)))

    def seed(self, seed: int) -> None:
        """Seed random numbers: other ones in each process."""
        torch.manual_seed(seed * self.count + self.rank)

    def wait(self) -> None:
        """Wait until all processes have come here."""
        if self.state:
            self.state.wait_for_everyone()

    def gather_objects(self, value: T) -> list[T]:
        """Return the ``value`` of each process, which can be pickled."""
        if self.count == 1:
            return [value]
        from accelerate.utils import gather_object  # Accelerate takes its time

        return gather_object([value])

    def from_main(self, make: Callable[[], T]) -> T:
        """Return what ``make`` returns in the main process, which alone calls it; it can be pickled."""
        if self.count == 1:
            return make()
        from accelerate.utils import broadcast_object_list

        return cast(T, broadcast_object_list([make() if self.is_main else None])[0])

    def gather(self, value: int | float) -> list[int | float]:
        """Return the ``value`` of each process."""
        if self.state is None:
            return [value]
        from accelerate.utils import gather

        dtype = torch.float64 if isinstance(value, float) else torch.long
        own = torch.tensor([value], dtype=dtype, device=self.state.device)
        return cast(torch.Tensor, gather(own)).tolist()

    def sum(self, value: int | float) -> int | float:
        """Return the sum of the values of all processes."""
        return sum(self.gather(value))

    def broadcast_main(self, value: float) -> float:
        """Return the main process's ``value``: decisions must be the same everywhere, and clocks are not."""
        return self.gather(value)[0]


def leave(state: "PartialState") -> None:
    """Leave the process group, before the interpreter ends: its threads may still release tensors, and abort then.

    Those of a group that ``DistributedDataParallel`` has used go on after it, so they are given a moment, too.
    """
    state.destroy_process_group()
    time.sleep(SETTLE_S)
