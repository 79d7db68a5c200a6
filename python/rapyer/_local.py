"""Where a place of a document is in the value here, and what writes and reads what is there."""

from typing import Any, NamedTuple, cast

from pydantic import BaseModel

from rapyer._binding import ByKey, Root, Segment
from rapyer._codec import Codec
from rapyer._elements import index_of

__all__ = ["Local", "codec_at", "has_default", "held_at", "index_here", "local_at", "members_of"]

_Steps = tuple[Segment, ...]


class Local(NamedTuple):
    """A value here and what reads and writes it."""

    holder: Any
    codec: Codec


def local_at(root: Root, codec: Codec, steps: _Steps) -> Local | None:
    """What is here at a place of the document; None where that is something else."""
    holder: Any = root
    for step in steps:
        if not isinstance(step, str):
            at = index_here(holder, codec, step) if isinstance(holder, list) else None
            if at is None:
                return None
            holder, codec = list.__getitem__(holder, at), codec.item
        elif isinstance(holder, BaseModel):
            name, codec = step, codec.member(step)
            fields = members_of(holder, name)
            if name not in fields:
                return None
            holder = fields[name]
        elif isinstance(holder, dict):
            key = codec.key_of(step)
            if not dict.__contains__(holder, key):
                return None
            holder, codec = dict.__getitem__(holder, key), codec.member(step)
        else:
            return None
    return Local(holder, codec)


def index_here(holder: list[Any], codec: Codec, step: int | ByKey) -> int | None:
    if isinstance(step, ByKey):
        return index_of(codec.item, list.__iter__(holder), step)
    return step if 0 <= step < len(holder) else None


def held_at(root: Root, steps: _Steps) -> Any:
    """The value here at a place of the document; None where there is none."""
    place = local_at(root, root.__rapyer_codec__, steps)
    return None if place is None else place.holder


def members_of(model: Any, name: str) -> dict[str, Any]:
    """Where pydantic keeps the value of a member: with the fields, or with what is not declared."""
    extra: dict[str, Any] | None = model.__pydantic_extra__
    fields: dict[str, Any] = model.__dict__
    return fields if extra is None or name in type(model).model_fields else extra


def codec_at(codec: Codec, steps: _Steps) -> Codec:
    """What writes and reads the value at a place."""
    for step in steps:
        codec = codec.member(step) if isinstance(step, str) else codec.item
    return codec


def has_default(codec: Codec, steps: _Steps) -> bool:
    """Whether a place is that of a declared field, which has a value where nothing is stored."""
    return codec_at(codec, steps[:-1]).declares(cast("str", steps[-1]))
