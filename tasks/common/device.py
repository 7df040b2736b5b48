"""The device of a command: the one that --device names, or else the best one that its decoder can use."""

import os
from datetime import timedelta
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from accelerate import PartialState

from tasks.common.console import warn_once
from tasks.common.errors import UsageError

VARIABLE = "ACCELERATE_TORCH_DEVICE"  # Accelerate's own; processes that a command starts have it too
# How long processes wait for another one, which may be learning a vocabulary or computing metrics for all of them.
TIMEOUT = timedelta(hours=1)


def take_device(arguments: list[str]) -> list[str]:
    """Use the device that --device names, and return the arguments without that flag.

    Raises:
        UsageError: there is no such device, or several processes have a device each.
    """
    kept: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        flag, equals, name = argument.partition("=")
        if flag == "--device":
            use_device(name if equals else next(rest, ""))
        else:
            kept.append(argument)
    return kept


def use_device(name: str) -> None:
    """Use a device. Raises UsageError if there is none of this name, or if several processes have a device each."""
    names = available_devices()
    if name not in names:
        raise UsageError(f"--device {name}: there is no such device; this machine has {', '.join(names)}")
    if is_one_of_several():
        raise UsageError("--device: each of several processes has a GPU of its own; choose them with accelerate launch")
    os.environ[VARIABLE] = name


def available_devices() -> list[str]:
    """Return the names of all devices of this machine."""
    cuda = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return ["cpu", *(["cuda"] if cuda else []), *cuda, *mps]


def is_one_of_several() -> bool:
    """Tell whether this process is one of several that ``accelerate launch`` has started for a command."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def process_state() -> "PartialState":
    """Return the state of one of several processes, which joins the other ones when it is first asked for.

    Raises:
        UsageError: they can't reach one another, or have no GPU, and have not been told to use the CPU.
    """
    from accelerate import PartialState  # it takes its time
    from accelerate.utils import parse_flag_from_env

    try:
        state = PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"), timeout=TIMEOUT)
    except RuntimeError as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UsageError(
            f"the processes can't reach one another ({reason}): check --main_process_ip and --main_process_port, and "
            "name the network with GLOO_SOCKET_IFNAME or NCCL_SOCKET_IFNAME"
        ) from error
    if state.num_processes == 1:
        raise UsageError("several processes, but no GPU: set ACCELERATE_USE_CPU=true to use the CPU")
    return state


def default_device() -> torch.device:
    """Return the device of this process, as Accelerate chooses it, which takes its time and trains."""
    if is_one_of_several():
        own = process_state().device
        assert own is not None
        return own
    if VARIABLE in os.environ:
        return torch.device(os.environ[VARIABLE])
    wants_cpu = os.environ.get("ACCELERATE_USE_CPU", "false").lower() in ("1", "true", "yes", "on")
    found = None if wants_cpu else torch.accelerator.current_accelerator(check_available=True)
    return found or torch.device("cpu")


def find_device(supports_mps: bool) -> torch.device:
    """Return the device to compute on.

    Args:
        supports_mps: Whether Apple's GPUs, which have neither CTC nor float64, can be used; otherwise the CPU takes
            their place, and this is said.

    Raises:
        UsageError: --device names an Apple GPU that can't be used.
    """
    device = default_device()
    if device.type != "mps" or supports_mps:
        return device
    reason = "CTC and transducers (decoder.kind, decoder.ctc_weight) need operations that Apple's GPUs lack"
    if VARIABLE in os.environ:
        raise UsageError(f"--device mps: {reason}; name cpu, or leave it out")
    warn_once(f"computing on the CPU: {reason}")
    return torch.device("cpu")
