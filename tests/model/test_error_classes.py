"""Each error reply that the engine declares is an exception with a class of its own."""

from __future__ import annotations

import pytest

from rapyer._native import errors
from rapyer.errors import CommandError, command_error


@pytest.mark.parametrize("prefix", [prefix for prefix, *_ in errors()])
def test_a_prefix_of_the_engine_has_its_own_class(prefix: str) -> None:
    error = command_error(f"{prefix} what happened", "MODEL.GET User:1")
    assert isinstance(error, CommandError)
    # ERR is what servers say of whatever has no word.
    assert (type(error) is CommandError) == (prefix == "ERR")
    assert "MODEL.GET User:1" in str(error)
    assert "what happened" in str(error)
