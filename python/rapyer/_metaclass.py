"""How a model class comes to a `Meta` of its own, and to a codec once it is complete."""

from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel, Field, PrivateAttr
from typing_extensions import dataclass_transform

from rapyer._codec import Codec
from rapyer.config import RedisConfig
from rapyer.errors import UnsupportedArgumentTypeError
from rapyer.query import expression, no_expressions

__all__ = ["AtomicMetaclass"]

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)


class _WhenComplete:
    """Stands for the codec of a class until that is complete, so that no other is inherited."""

    __slots__ = ()

    def __get__(self, model: object, owner: type[BaseModel]) -> Codec:
        # The class named another that did not exist yet. Complete, it has its codec here.
        owner.model_rebuild()
        return cast("Codec", owner.__dict__["__rapyer_codec__"])


# Checkers do not look at what a metaclass is derived from.
@dataclass_transform(kw_only_default=True, field_specifiers=(Field, PrivateAttr))
class AtomicMetaclass(ModelMetaclass):
    """Gives every model a `Meta` that starts as a copy of its parent's and is shared with no other."""

    Meta: RedisConfig

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **kwargs: Any) -> type:
        parent = next((base.Meta for base in bases if isinstance(base, AtomicMetaclass)), None)
        given = namespace.get("Meta", parent or RedisConfig())
        namespace["Meta"] = _checked(given).adopted(parent)
        namespace["__rapyer_codec__"] = _WhenComplete()
        with no_expressions():
            return super().__new__(mcs, name, bases, namespace, **kwargs)

    if not TYPE_CHECKING:
        # To a checker an attribute that a class does not have stays a mistake.
        def __getattr__(cls, name: str) -> Any:
            found = expression(cls, name)
            return super().__getattr__(name) if found is None else found

    def __setattr__(cls, name: str, value: Any) -> None:
        if name == "Meta":
            cls.Meta.replace(_checked(value))
        else:
            super().__setattr__(name, value)


def _checked(value: object) -> RedisConfig:
    if not isinstance(value, RedisConfig):
        raise UnsupportedArgumentTypeError(
            f"Meta must be a RedisConfig, not {value!r}: Meta = RedisConfig(ttl=1800)"
        )
    return value
