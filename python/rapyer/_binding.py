"""Where a value sits: the way from it to the document it is part of.

A value is bound when it is handed out, not when it is loaded, so loading costs what pydantic costs. What is
bound knows its holder and its key there and nothing else; its path is found when an operation asks for it,
and by then it must still be where it was.
"""

import json
import re
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, Protocol, TypeAlias, cast

from pydantic import BaseModel, RootModel
from typing_extensions import Self

from rapyer._codec import Codec, plain_class
from rapyer._native import Field
from rapyer.errors import DetachedValueError
from rapyer.query import expression

if TYPE_CHECKING:
    from rapyer._connection import Route
    from rapyer.fields import RapyerKey

__all__ = [
    "COPIED",
    "ByKey",
    "Held",
    "Holder",
    "Location",
    "Place",
    "Root",
    "Segment",
    "bind",
    "binds",
    "field",
    "handed_out",
    "is_nested",
    "is_place",
    "makes",
    "merged",
    "path_text",
    "place_of",
    "unbound",
]


class Held(int):
    """The step to an element that was handed out: where it is as far as is known here."""

    __slots__ = ()


class ByKey(NamedTuple):
    """The step to the one element of a list that has this value in a member."""

    name: str
    key: str | int


Segment: TypeAlias = str | int | ByKey
"""A step into a document: a member's name, or an element's index or key."""

_PLAIN_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Root(Protocol):
    """A model that is a document of its own."""

    __pydantic_extra__: dict[str, Any] | None
    __pydantic_fields_set__: set[str]
    __rapyer_codec__: ClassVar[Codec]
    __rapyer_key_field__: ClassVar[str | None]

    @property
    def key(self) -> "RapyerKey": ...
    @classmethod
    def class_key_initials(cls) -> str: ...
    @classmethod
    def _rapyer_route(cls) -> "Route": ...
    @classmethod
    def _rapyer_from_text(cls, key: str, text: bytes, version: bytes | None = None) -> Self: ...
    # A `State`; what a model knows of its document builds on where its values are.
    def _rapyer_state(self) -> Any: ...
    def _rapyer_follow(self, new: Any) -> bool: ...


class Location(NamedTuple):
    """A place in a document that exists now."""

    root: Root
    segments: tuple[Segment, ...]
    key: "RapyerKey"
    """The key of the document."""

    @property
    def path(self) -> str:
        """Its singular query of RFC 9535, with a filter for an element that has a key."""
        return path_text(self.segments)

    @property
    def field_path(self) -> str:
        """The same below the root, without its sign: `address.city`; nothing for a document."""
        return self.path[1:].removeprefix(".")

    @property
    def field_name(self) -> str:
        """The last step: a name, or the index or key of a list's element; nothing for a document."""
        if not self.segments:
            return ""
        last = self.segments[-1]
        return str(last.key if isinstance(last, ByKey) else last)

    def at(self, segment: Segment) -> "Location":
        """The place one step further."""
        return Location(self.root, (*self.segments, segment), self.key)


@lru_cache(4096)
def path_text(segments: tuple[Segment, ...]) -> str:
    """The singular query of RFC 9535 for these steps from the root, with a filter for an element's key."""
    return "$" + "".join(map(_step, segments))


def _step(segment: Segment) -> str:
    if isinstance(segment, int):
        return f"[{segment}]"
    if isinstance(segment, ByKey):
        return f"[?@{_step(segment.name)}=={json.dumps(segment.key, ensure_ascii=False)}]"
    if _PLAIN_NAME.fullmatch(segment):
        return f".{segment}"
    return f"[{json.dumps(segment, ensure_ascii=False)}]"


class Holder(Protocol):
    """What bound values sit in: a model, a list, a dict."""

    def _rapyer_locate_child(self, child: object, key: Any) -> Location:
        """Where a child is now. Raises `DetachedValueError` when it is no longer there."""
        ...

    def _rapyer_child_codec(self, key: Any) -> Codec:
        """What writes and reads the value under this key."""
        ...

    def _rapyer_is_plain(self) -> bool:
        """Whether it is in a copy of a nested model, which is in no document."""
        ...


Place: TypeAlias = tuple[Holder, Any]
"""The holder of a value and its key there; the key of a list's element is None."""


def place_of(model: object) -> Place | None:
    """Where a model sits in another one's document; None for a document of its own."""
    try:
        # Asking the model itself for a slot that is unset would go through pydantic's `__getattr__`.
        return cast("Place", object.__getattribute__(model, "_rapyer_place"))
    except AttributeError:
        return None


class _Nowhere:
    """Holds copies of nested models: assigned, they become part of a document, and never one of their own."""

    def _rapyer_locate_child(self, child: Any, key: Any) -> Location:
        name = plain_class(type(child)).__name__
        raise DetachedValueError(
            f"this {name} is a copy of one that is part of a document, and has none itself: assign it to a "
            f"field of a stored model, or make a document of its values, {name}(**copy.model_dump())"
        )

    def _rapyer_child_codec(self, key: Any) -> Codec:
        raise unbound(key)

    def _rapyer_is_plain(self) -> bool:
        return True


COPIED: Final[Place] = (_Nowhere(), None)
"""The place of a copy of a nested model."""


def is_nested(model: object) -> bool:
    """Whether a model is part of another one's document."""
    place = place_of(model)
    return place is not None and place is not COPIED


def unbound(value: object) -> DetachedValueError:
    """The error of an operation on a value that is in no stored model."""
    return DetachedValueError(
        f"this {type(value).__name__} is not part of a stored model, so there is nothing it could write to: "
        "take it from its model again (model.field, model.items[0]) and call the method on that"
    )


_Binder: TypeAlias = Callable[[Any, Holder, Any], Any]

# How a value of exactly this type is bound; `rapyer.types` and `rapyer.base` fill these.
_BINDERS: Final[dict[type, _Binder | None]] = {}
# A plain value that cannot change is never bound already: what to make of it before it gets its place.
_MAKERS: Final[dict[type, Callable[[Any], Any]]] = {}
_MODELS: Final[list[_Binder]] = []
# The types whose values keep their places.
_KEPT: Final[set[type]] = set()


def binds(*kinds: type) -> Callable[[_Binder], _Binder]:
    """Declares how values of these types are bound; `BaseModel` stands for all models."""

    def register(binder: _Binder) -> _Binder:
        for kind in kinds:
            if kind is BaseModel:
                _MODELS.append(binder)
            else:
                _BINDERS[kind] = binder
            if getattr(kind, "_rapyer_kept", False):
                _KEPT.add(kind)
        return binder

    return register


def makes(plain: type, make: Callable[[Any], Any]) -> None:
    """Declares what is made of a plain value that cannot change when it is handed out."""
    _MAKERS[plain] = make


def is_place(place: Place | None, holder: Holder, key: Any) -> bool:
    """Whether a value with this place is bound there already."""
    return place is not None and place[0] is holder and place[1] == key


def bind(value: Any, holder: Holder, key: Any) -> Any:
    """The value as its holder hands it out. What is `_rapyer_kept` the holder then keeps instead."""
    make = _MAKERS.get(type(value))
    if make is not None:
        bound = make(value)
        bound._rapyer_place = (holder, key)
        return bound
    binder = _BINDERS.get(type(value))
    if binder is not None:
        return binder(value, holder, key)
    if isinstance(value, BaseModel) and not isinstance(value, RootModel):
        return _MODELS[0](value, holder, key)
    return value


def merged(old: Any, new: Any) -> Any:
    """`new`, as the same object as `old` where that can become it in place."""
    if old is new:
        return new
    follow = getattr(type(old), "_rapyer_follow", None)
    return old if follow is not None and follow(old, new) else new


def field(name: str, deprecation: str | None = None) -> "Field | _DeprecatedField":
    """The descriptor of a model's field whose values have atomic methods."""
    handed_out = Field(name, _MAKERS, _KEPT, _handed_out, _without)
    return handed_out if deprecation is None else _DeprecatedField(handed_out, deprecation)


class _DeprecatedField:
    """Warns where the field of an instance is read, as pydantic's descriptor does, whose place it takes."""

    def __init__(self, handed_out: Field, message: str) -> None:
        self.field = handed_out
        self._message = message

    def __get__(self, model: Any, owner: type) -> Any:
        if model is not None:
            warnings.warn(self._message, DeprecationWarning, stacklevel=2)
        return self.field.__get__(model, owner)

    def __set__(self, model: Any, value: Any) -> None:
        self.field.__set__(model, value)


def handed_out(model: Any, name: str) -> Any:
    """What the descriptor of a field hands out, without a warning; None where it has none."""
    descriptor = type(model).__dict__.get(name)
    if isinstance(descriptor, _DeprecatedField):
        descriptor = descriptor.field
    return descriptor.__get__(model, type(model)) if isinstance(descriptor, Field) else None


def _handed_out(value: Any, model: Any, name: str) -> Any:
    bound = bind(value, model, name)
    if bound is not value and bound._rapyer_kept:
        model.__dict__[name] = bound
    return bound


def _without(model: Any, owner: type, name: str) -> Any:
    # On the class, whose model is None, as on an instance that was not built to its end.
    found = expression(owner, name) if model is None else None
    if found is None:
        raise AttributeError(f"{owner.__name__!r} object has no attribute {name!r}")
    return found
