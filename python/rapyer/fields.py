"""Keys: what a stored model is found by, and how a field becomes its model's key."""

from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema
from pydantic_core.core_schema import no_info_after_validator_function

__all__ = ["Key", "RapyerKey", "is_key_mark"]

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
        def __get__(self, model: object, owner: object) -> _T: ...
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
