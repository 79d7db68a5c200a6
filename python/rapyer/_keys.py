"""Which document is meant: by a key, a primary key alone, or a model."""

from collections.abc import Iterable
from typing import Any, TypeAlias, cast

from pydantic import BaseModel

from rapyer._binding import is_nested
from rapyer._registry import model_of
from rapyer.errors import KeyNotFound, NestedModelError, UnsupportedArgumentTypeError

__all__ = ["full_key", "full_keys", "key_of", "refuse_nested"]

# A class of models, which this module does not import: they depend on it.
_Class: TypeAlias = type[Any]


def full_key(model: _Class, key: object) -> str:
    """The whole key: of `Model:pk`, or of the pk alone. Raises `KeyNotFound` for a key of another model."""
    if key is None or isinstance(key, (bool, bytes, BaseModel)):
        raise UnsupportedArgumentTypeError(
            f"a key of {model.__name__} is text, 'Model:pk' or the pk alone, not {key!r}"
        )
    text = str(key)
    prefix = f"{model.class_key_initials()}:"
    if text.startswith(prefix):
        return text
    other = model_of(text, model) if ":" in text else None
    if other is not None:
        raise KeyNotFound(
            f"{text!r} is a key of {other.__name__}: the keys of {model.__name__} start with {prefix!r}"
        )
    return prefix + text


def full_keys(model: _Class, keys: Iterable[object]) -> list[str]:
    """The whole keys."""
    prefix = f"{model.class_key_initials()}:"
    return [key if type(key) is str and key.startswith(prefix) else full_key(model, key) for key in keys]


def key_of(model: _Class, given: object) -> str:
    """The key of a model of this class, or what its keys are given as."""
    if isinstance(given, model):
        refuse_nested(given, "adelete_many")
        return cast("str", cast("Any", given).key)
    return full_key(model, given)


def refuse_nested(model: object, method: str) -> None:
    """Raises `NestedModelError` for a model that is part of another one's document."""
    if is_nested(model):
        raise NestedModelError(f"{method} is for whole documents: call it on the model this one is part of")
