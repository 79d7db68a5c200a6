"""What checkers are told of a field whose annotation is one of our types."""

from typing import TYPE_CHECKING, Any

__all__ = ["Described"]

if TYPE_CHECKING:
    from typing import Generic, TypeVar, overload

    from typing_extensions import Self

    from rapyer.query import FieldExpression

    _Given = TypeVar("_Given")
    _Compared = TypeVar("_Compared")

    class Described(Generic[_Given, _Compared]):
        """A field that takes one type, is compared with another one in queries, and holds one of ours."""

        @overload
        def __get__(self, model: None, owner: object) -> FieldExpression[_Compared]: ...
        @overload
        def __get__(self, model: object, owner: object) -> Self: ...
        def __get__(self, model: object, owner: object) -> Any: ...
        def __set__(self, model: object, value: _Given) -> None: ...

else:

    class Described:
        """Nothing: the descriptors are put on a model's class when that is complete."""

        __slots__ = ()

        def __class_getitem__(cls, item: Any) -> type:
            return cls
