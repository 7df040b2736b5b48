"""Settings of exported runs."""

from typing import Literal

Quantization = Literal["none", "int8"]
