"""References: a field that names another document."""

from typing import TYPE_CHECKING, Any, Generic, TypeVar, Union, cast, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticCustomError, core_schema

from rapyer._registry import model_of
from rapyer.errors import KeyNotFound, NotResolvedError, UnsupportedArgumentTypeError
from rapyer.fields import RapyerKey
from rapyer.types._described import Described

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

__all__ = ["ForeignKey", "Reference"]

_M = TypeVar("_M", bound=BaseModel)


class Reference(Generic[_M], Described["_M | str | Reference[_M]", str]):
    """The key of another document, which is loaded when it is asked for.

    A field of this type takes a model, its key or, where only one class can be meant, its pk. Of a base class
    it takes the subclasses too. Once fetched, the model's attributes can be read from the reference.
    """

    __slots__ = ("_key", "_targets", "_value")

    def __init__(self, target: "_M | str", *, targets: "tuple[type[_M], ...]" = ()) -> None:
        self._targets = targets
        self._value: _M | None = None
        self._key: str | None = None
        if isinstance(target, str):
            self._key = _full_key(target, targets)
        else:
            self._value = target

    @property
    def target_key(self) -> RapyerKey:
        """The key of the document."""
        if self._key is not None or self._value is None:
            return RapyerKey(self._key)
        return cast("RapyerKey", cast("Any", self._value).key)

    @property
    def is_resolved(self) -> bool:
        """Whether the model is at hand."""
        return self._value is not None

    @property
    def value(self) -> _M:
        """The model. Raises `NotResolvedError` before it was fetched."""
        if self._value is None:
            raise NotResolvedError(f"{self.target_key!r} is not loaded: await its afetch() first")
        return self._value

    async def afetch(self) -> _M:
        """The model, loaded when it is not at hand. Raises `KeyNotFound` where there is none."""
        if self._value is None:
            model: Any = model_of(self.target_key, self._targets)
            if model is None or not issubclass(model, self._targets or model):
                names = _names(self._targets) or "a model that is defined"
                raise KeyNotFound(f"{self.target_key!r} is no key of {names}")
            self._value = cast("_M", await model.aget(self.target_key))
        return self._value

    async def aunload(self) -> None:
        """Lets go of the model: the next `afetch` loads it anew."""
        self._key, self._value = self.target_key, None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.value, name)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Reference):
            return self.target_key == other.target_key
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self.target_key)

    def __repr__(self) -> str:
        return f"Reference({str(self.target_key)!r})"

    # A copy names the same document, and knows the same model.
    def __copy__(self) -> "Reference[_M]":
        copy: Reference[_M] = Reference(self.target_key, targets=self._targets)
        copy._value = self._value
        return copy

    def __deepcopy__(self, memo: object) -> "Reference[_M]":
        return self.__copy__()

    def __reduce__(self) -> Any:
        return _restored, (str(self.target_key), self._targets)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: "GetCoreSchemaHandler") -> "CoreSchema":
        targets = tuple(
            target
            for argument in get_args(source)
            for target in (get_args(argument) if _is_union(argument) else (argument,))
            if isinstance(target, type)
        )

        def validate(value: Any, info: core_schema.ValidationInfo) -> Reference[Any]:
            return _checked(value, targets, from_text=info.mode == "json")

        return core_schema.with_info_plain_validator_function(
            validate,
            serialization=core_schema.plain_serializer_function_ser_schema(
                _key_of, return_schema=core_schema.str_schema()
            ),
            json_schema_input_schema=core_schema.str_schema(),
        )


ForeignKey = Reference


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) is Union or type(annotation).__name__ == "UnionType"


def _restored(key: str, targets: "tuple[type[BaseModel], ...]") -> "Reference[Any]":
    return Reference(key, targets=targets)


def _key_of(reference: "Reference[Any]") -> str:
    return str(reference.target_key)


def _checked(value: Any, targets: "tuple[type[Any], ...]", *, from_text: bool) -> "Reference[Any]":
    reference: Reference[Any]
    if isinstance(value, Reference):
        reference = Reference(value.target_key, targets=targets)
        reference._value = value._value
    elif isinstance(value, str) or hasattr(type(value), "__rapyer_codec__"):
        reference = Reference(value, targets=targets)
    elif from_text:
        raise PydanticCustomError("reference", "a reference is stored as the key of its document")
    else:
        raise UnsupportedArgumentTypeError(f"a reference takes a model or its key, not {value!r}")
    model = (
        type(reference._value) if reference._value is not None else model_of(reference.target_key, targets)
    )
    if model is not None and targets and not issubclass(model, targets):
        raise PydanticCustomError(
            "reference",
            "{key} is of {found}, and this refers to {expected}",
            {"key": str(reference.target_key), "found": model.__name__, "expected": _names(targets)},
        )
    return reference


def _full_key(text: str, targets: "tuple[type[Any], ...]") -> str:
    if not targets or model_of(text, targets) is not None:
        return text
    target, *others = targets
    if others:
        raise PydanticCustomError(
            "reference",
            "{text} is no key of {names}: a pk alone does not say which",
            {"text": text, "names": _names(targets)},
        )
    return f"{target.class_key_initials()}:{text}"


def _names(targets: "tuple[type[Any], ...]") -> str:
    return " or ".join(target.__name__ for target in targets)
