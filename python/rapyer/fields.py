"""What annotations say of fields: which one is the key, and which are pickled."""

import base64
import pickle
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar, overload

from pydantic import GetCoreSchemaHandler, PydanticSchemaGenerationError
from pydantic_core import CoreSchema, core_schema
from pydantic_core.core_schema import no_info_after_validator_function

if TYPE_CHECKING:
    from rapyer.query import FieldExpression

__all__ = ["Key", "Pickle", "RapyerKey", "is_key_mark"]

_T = TypeVar("_T")


class RapyerKey(str):
    """The name of a stored document: the model's prefix, a colon and its primary key."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_after_validator_function(cls, handler(str))


if TYPE_CHECKING:
    # To a checker the field has the type it holds: reading, assigning and constructing take that.
    class Key(Generic[_T]):
        @overload
        def __get__(self, model: None, owner: object) -> FieldExpression[_T]: ...
        @overload
        def __get__(self, model: object, owner: object) -> _T: ...
        def __get__(self, model: object, owner: object) -> Any: ...
        def __set__(self, model: object, value: _T) -> None: ...

else:

    class Key:
        """Marks the field that holds the primary key: `id: Key[str]` or `id: Annotated[str, Key()]`."""

        __slots__ = ()

        def __class_getitem__(cls, item: Any) -> Any:
            return Annotated[item, cls()]


def is_key_mark(mark: object) -> bool:
    """Whether an annotation's metadata marks the key field."""
    return mark is Key or isinstance(mark, Key)


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
        return core_schema.json_or_python_schema(
            json_schema=core_schema.chain_schema(
                [no_info_after_validator_function(_unpickled, core_schema.str_schema()), checked]
            ),
            python_schema=checked,
            serialization=core_schema.plain_serializer_function_ser_schema(
                _pickled, return_schema=core_schema.str_schema(), when_used="json"
            ),
        )


def _pickled(value: Any) -> str:
    try:
        return base64.b64encode(pickle.dumps(value)).decode()
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise ValueError(f"{value!r} cannot be pickled: {error}") from error


def _unpickled(text: str) -> Any:
    try:
        return pickle.loads(base64.b64decode(text, validate=True))
    except Exception as error:
        # Loading a pickle may raise anything.
        raise ValueError(f"not a pickle of this program's: {error}") from error
