"""What annotations say of fields: which one is the key, which are queried, and which are pickled."""

from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeAlias, TypeVar, overload

from pydantic import GetCoreSchemaHandler, PydanticSchemaGenerationError
from pydantic_core import CoreSchema, core_schema
from pydantic_core.core_schema import no_info_after_validator_function

from rapyer._codec import SAFE_LOAD
from rapyer._pickle import pickled

if TYPE_CHECKING:
    from rapyer.query import FieldExpression

__all__ = ["Index", "Key", "Pickle", "RapyerKey", "SafeLoad"]

_T = TypeVar("_T")


class RapyerKey(str):
    """The name of a stored document: the model's prefix, a colon and its primary key."""

    __slots__ = ()

    _rapyer_type = str

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_after_validator_function(cls, handler(str))


if TYPE_CHECKING:
    SafeLoad: TypeAlias = _T | None

    Index: TypeAlias = Annotated[_T, "index"]

    # To a checker the field has the type it holds: reading, assigning and constructing take that.
    class Key(Generic[_T]):
        @overload
        def __get__(self, model: None, owner: object) -> FieldExpression[_T]: ...
        @overload
        def __get__(self, model: object, owner: object) -> _T: ...
        def __get__(self, model: object, owner: object) -> Any: ...
        def __set__(self, model: object, value: _T) -> None: ...

else:

    class _Mark:
        __slots__ = ()

        def __class_getitem__(cls, item: Any) -> Any:
            return Annotated[item, cls()]

    class Key(_Mark):
        """Marks the field that holds the primary key: `id: Key[str]` or `id: Annotated[str, Key()]`."""

        __slots__ = ()

        # `rapyer._codec` looks for it: an annotation may have the class or an instance.
        _rapyer_is_key = True

    class Index(_Mark):
        """Marks a field that conditions compare: `age: Index[int]`, or `Annotated[int, Index()]`, which
        type checkers take for an error.

        What they find is the same without it: every document of the class is looked at, marked or not.
        """

        __slots__ = ()

    class SafeLoad(_Mark):
        """Marks a field of a stored model that is None where what is stored is not valid: `SafeLoad[T]`.

        The log has a warning then, and the model the field's name in `failed_fields`. What is stored stays
        as it is until the field is assigned.
        """

        __slots__ = ()

        def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
            schema = handler(source)
            # A copy: that of a model is the model's own.
            return {**schema, "metadata": {**schema.get("metadata", {}), SAFE_LOAD: True}}


class Pickle:
    """Has a field stored as a pickle: `shape: Annotated[Shape, Pickle()]`, for what JSON cannot hold.

    Loading a pickle runs what is in it: whoever can write to the server can run code in the programs that
    read it. A pickle has no parts, so that the field can only be saved as a whole.
    """

    __slots__ = ()

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        try:
            checked = handler(source)
        except PydanticSchemaGenerationError:
            checked = core_schema.is_instance_schema(source)
        return pickled(checked)
