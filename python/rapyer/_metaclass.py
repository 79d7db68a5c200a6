"""How a model class comes to a `Meta` of its own."""

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from rapyer.config import RedisConfig
from rapyer.errors import UnsupportedArgumentTypeError

__all__ = ["AtomicMetaclass"]

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)


class AtomicMetaclass(ModelMetaclass):
    """Gives every model a `Meta` that starts as a copy of its parent's and is shared with no other."""

    Meta: RedisConfig

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **kwargs: Any) -> type:
        parent = next((base.Meta for base in bases if isinstance(base, AtomicMetaclass)), None)
        given = namespace.get("Meta", parent or RedisConfig())
        namespace["Meta"] = _checked(given).adopted(parent)
        return super().__new__(mcs, name, bases, namespace, **kwargs)

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
