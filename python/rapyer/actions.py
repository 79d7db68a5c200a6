"""The categories of operations that `Meta.refresh_ttl` chooses from."""

from collections.abc import Callable
from enum import Flag, auto
from functools import reduce
from operator import or_
from typing import TypeVar

__all__ = ["ActionGroup", "acts", "groups_of"]

_F = TypeVar("_F", bound=Callable[..., object])


class ActionGroup(Flag):
    """What an operation does. A TTL is refreshed by the operations that share a group with `refresh_ttl`."""

    READ = auto()
    """Reading a value."""
    FETCH = auto()
    """Loading a whole model."""
    CREATE = auto()
    """Creating a model."""
    UPDATE = auto()
    """Modifying what exists."""
    APPEND = auto()
    """Adding to a collection."""
    DELETE = auto()
    """Removing a whole document; cannot be refreshed on."""
    ERASE = auto()
    """Removing from a collection."""
    ARITHMETIC = auto()
    """Changing a number in place."""

    @classmethod
    def all(cls, for_ttl: bool = False) -> "ActionGroup":
        """Every group; with `for_ttl`, every group a TTL can be refreshed on: all but DELETE."""
        groups = cls(0)
        for group in cls.__members__.values():
            groups |= group
        return groups & ~cls.DELETE if for_ttl else groups

    def names(self) -> list[str]:
        """The names of the groups it holds, in the order of their declaration."""
        return [name for name, group in type(self).__members__.items() if group in self]


def acts(*groups: ActionGroup) -> Callable[[_F], _F]:
    """Declares which groups a method belongs to; without any it never refreshes."""

    def declare(method: _F) -> _F:
        method.__rapyer_groups__ = reduce(or_, groups, ActionGroup(0))  # type: ignore[attr-defined]
        return method

    return declare


def groups_of(method: Callable[..., object]) -> ActionGroup | None:
    """The groups a method was declared to belong to; None for what is no operation."""
    groups = getattr(method, "__rapyer_groups__", None)
    return groups if isinstance(groups, ActionGroup) else None
