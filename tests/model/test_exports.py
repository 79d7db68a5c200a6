"""What can be imported, and from where."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import rapyer
from rapyer import errors
from rapyer.errors import RapyerError

PUBLIC = ["rapyer"] + [
    module.name
    for module in pkgutil.walk_packages(rapyer.__path__, "rapyer.")
    if not any(part.startswith("_") for part in module.name.split("."))
]


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_module_says_what_is_public(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__all__ == sorted(module.__all__)
    for exported in module.__all__:
        assert getattr(module, exported).__doc__


def test_the_paths_that_users_have_lead_to_the_same_things() -> None:
    from rapyer.actions import ActionGroup
    from rapyer.base import AtomicRedisModel
    from rapyer.config import RedisConfig
    from rapyer.fields import Index, Key, RapyerKey, SafeLoad

    assert rapyer.AtomicRedisModel is AtomicRedisModel
    assert rapyer.ActionGroup is ActionGroup
    assert rapyer.RedisConfig is RedisConfig
    assert rapyer.Key is Key
    assert rapyer.RapyerKey is RapyerKey
    assert Index.__doc__ != Key.__doc__ != SafeLoad.__doc__


def test_every_error_is_a_rapyer_error() -> None:
    for name in errors.__all__:
        assert issubclass(getattr(errors, name), RapyerError)
