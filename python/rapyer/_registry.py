"""The models that are defined, and which of them a key belongs to."""

from collections.abc import Iterator
from typing import Any, Final

from rapyer._codec import plain_class

__all__ = ["all_models", "holds_models", "model_of"]

_BASES: Final[list[type[Any]]] = []


def holds_models(base: type[Any]) -> None:
    """Declares the class that all models are derived from."""
    _BASES.append(base)


def all_models() -> Iterator[type[Any]]:
    """Every model that is defined, in no order that means something."""
    for base in _BASES:
        yield from _derived(base)


def _derived(base: type[Any]) -> Iterator[type[Any]]:
    for model in base.__subclasses__():
        if plain_class(model) is model:
            yield model
            yield from _derived(model)


def model_of(key: str, expected: type[Any] | tuple[type[Any], ...] = ()) -> type[Any] | None:
    """The model whose prefix a key has, and the longest such prefix.

    Several models of one name share it: then that is one of `expected`, else the last one defined.
    """
    fitting = [model for model in all_models() if key.startswith(f"{model.class_key_initials()}:")]
    return max(
        fitting,
        key=lambda model: (
            len(model.class_key_initials()),
            issubclass(model, expected),
            fitting.index(model),
        ),
        default=None,
    )
