"""Conditions on models: `User.age >= 18`, `(User.name == "Ada") | ~(User.address.city == "London")`.

A model's class hands out a `FieldExpression` for each of its fields. Comparing that makes a `Condition`,
which `afind`, `afind_one` and `adelete_many` take.
"""

import operator
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from types import UnionType
from typing import Annotated, Any, Final, Generic, NoReturn, TypeAlias, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel

from rapyer.errors import BadFilterError, UnsupportedArgumentValueError

__all__ = ["Condition", "FieldExpression", "Filter", "condition_of", "expression", "no_expressions"]

_T = TypeVar("_T")

_COMBINE: Final = "conditions are combined with &, | and ~, each in parentheses"


class Condition:
    """What a model fulfils or not. Combined with `&`, `|` and `~`."""

    __slots__ = ("_holds", "_text", "model")

    def __init__(self, model: type[BaseModel], holds: Callable[[Any], bool], text: str) -> None:
        self.model = model
        """The class whose fields it is about."""
        self._holds = holds
        self._text = text

    def holds(self, model: BaseModel) -> bool:
        """Whether a model fulfils it, as it is here. Raises `BadFilterError` where values have no order."""
        return self._holds(model)

    def __and__(self, other: "Condition") -> "Condition":
        both = self._both(other)
        return Condition(both, lambda model: self.holds(model) and other.holds(model), f"({self} & {other})")

    def __or__(self, other: "Condition") -> "Condition":
        both = self._both(other)
        return Condition(both, lambda model: self.holds(model) or other.holds(model), f"({self} | {other})")

    def __invert__(self) -> "Condition":
        return Condition(self.model, lambda model: not self.holds(model), f"~{self}")

    def __bool__(self) -> NoReturn:
        raise BadFilterError(f"{self} is true or false of a model, not by itself: {_COMBINE}")

    def __repr__(self) -> str:
        return self._text

    def _both(self, other: object) -> type[BaseModel]:
        """The class that has the fields of both."""
        if not isinstance(other, Condition):
            raise BadFilterError(f"{other!r} is no condition and cannot be combined with {self}: {_COMBINE}")
        for one, base in ((self.model, other.model), (other.model, self.model)):
            if issubclass(one, base):
                return one
        raise BadFilterError(f"{self} and {other} are about different models, and no model fulfils both")


Filter: TypeAlias = Condition | bool
"""A condition. To a checker the comparison of a field that is annotated with a plain type is a bool."""


def condition_of(model: type[BaseModel], method: str, given: Sequence[object]) -> Condition | None:
    """All conditions among the arguments of a model's method as one; then there is nothing but conditions."""
    conditions = [one for one in given if isinstance(one, Condition)]
    for one in given:
        if isinstance(one, FieldExpression):
            raise BadFilterError(f"{one} is a field: {model.__name__}.{method} takes what compares it")
        if conditions and not isinstance(one, Condition):
            raise UnsupportedArgumentValueError(
                f"{model.__name__}.{method} takes keys or conditions, not {one!r} beside {conditions[0]}"
            )
    for one in conditions:
        if not issubclass(model, one.model):
            raise BadFilterError(f"{one} is not about {model.__name__}")
    return reduce(operator.and_, conditions) if conditions else None


class FieldExpression(Generic[_T]):
    """A field of a model's class, or of a model nested in that: compared with a value it is a `Condition`.

    Where a nested model is None, its fields are None. None is not less than anything, nor greater.
    """

    __slots__ = ("_annotation", "_model", "_names")

    def __init__(self, model: type[BaseModel], names: tuple[str, ...], annotation: Any) -> None:
        self._model = model
        self._names = names
        self._annotation = annotation

    def __getattr__(self, name: str) -> "FieldExpression[Any]":
        if name.startswith("_"):
            # No field's name; what is being copied is asked for some before it has anything.
            raise AttributeError(name)
        for nested in _models(self._annotation):
            if name in nested.model_fields:
                annotation = nested.model_fields[name].annotation
                return FieldExpression(self._model, (*self._names, name), annotation)
        raise AttributeError(f"{self} has no field {name!r} to ask about")

    def __eq__(self, value: object) -> Condition:  # type: ignore[override]
        return self._compared(operator.eq, "==", value)

    def __ne__(self, value: object) -> Condition:  # type: ignore[override]
        return self._compared(operator.ne, "!=", value)

    def __lt__(self, value: _T) -> Condition:
        return self._ordered(operator.lt, "<", value)

    def __le__(self, value: _T) -> Condition:
        return self._ordered(operator.le, "<=", value)

    def __gt__(self, value: _T) -> Condition:
        return self._ordered(operator.gt, ">", value)

    def __ge__(self, value: _T) -> Condition:
        return self._ordered(operator.ge, ">=", value)

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return ".".join((self._model.__name__, *self._names))

    def _ordered(self, compare: Callable[[Any, Any], Any], sign: str, value: object) -> Condition:
        if value is None:
            raise BadFilterError(f"{self} {sign} None: None is not less than anything, nor greater")
        return self._compared(lambda held, value: held is not None and compare(held, value), sign, value)

    def _compared(self, compare: Callable[[Any, Any], Any], sign: str, value: object) -> Condition:
        if isinstance(value, (FieldExpression, Condition)):
            raise BadFilterError(f"{self} {sign} {value!r}: a field is compared with a value")

        def holds(model: Any) -> bool:
            held = self._held(model)
            try:
                return bool(compare(held, value))
            except TypeError as error:
                raise BadFilterError(f"{self} is {held!r} in {model.key!r}: {error}") from error

        return Condition(self._model, holds, f"({self} {sign} {value!r})")

    def _held(self, model: Any) -> Any:
        for name in self._names:
            if model is None:
                return None
            # Past the descriptors: a comparison needs no place, and no warning that the field is deprecated.
            model = model.__dict__.get(name)
        return model


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that a value of this annotation may be."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) is Annotated:
        yield from _models(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for one in get_args(annotation):
            yield from _models(one)


class _Making(threading.local):
    classes = 0


_making: Final = _Making()


@contextmanager
def no_expressions() -> Iterator[None]:
    """A block that makes a class, for which pydantic takes the attributes of its bases for defaults."""
    _making.classes += 1
    try:
        yield
    finally:
        _making.classes -= 1


def expression(model: type[BaseModel], name: str) -> "FieldExpression[Any] | None":
    """What a class hands out for a field."""
    field = model.__dict__.get("__pydantic_fields__", {}).get(name)
    if field is None or _making.classes:
        return None
    return FieldExpression(model, (name,), field.annotation)
