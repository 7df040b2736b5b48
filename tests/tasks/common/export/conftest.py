"""Exports under the type checks of tests."""

from collections.abc import Iterator

import jaxtyping
import pytest


@pytest.fixture(scope="module", autouse=True)
def _without_type_checks() -> Iterator[None]:
    """Don't check types: in a trace sizes are symbols, which are no integers, and checks would make them constants."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
