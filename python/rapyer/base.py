"""The base of all models."""

import asyncio
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar, cast
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, ValidationError
from typing_extensions import Self

from rapyer._binding import Field, Holder, Location, Segment, binds, is_place, merged, path_text
from rapyer._codec import Codec, plain_class
from rapyer._connection import Word, execute
from rapyer._metaclass import AtomicMetaclass
from rapyer._policy import Ttl, milliseconds
from rapyer._stored import Stored
from rapyer._transport import Reply
from rapyer.config import RedisConfig
from rapyer.errors import (
    BadDeleteActionError,
    CorruptedModelError,
    DetachedValueError,
    KeyNotFound,
    MissingParameterError,
    NestedModelError,
    ReservedNameError,
    UnsupportedArgumentTypeError,
)
from rapyer.fields import RapyerKey, is_key_mark
from rapyer.result import Found
from rapyer.types import RedisDict, RedisList

__all__ = ["AtomicRedisModel"]


_M = TypeVar("_M")


class _Identity:
    """Which document a model is, and what the server is known to hold of it."""

    __slots__ = ("pk", "stored")

    def __init__(self, pk: Any, stored: Stored | None) -> None:
        self.pk = pk
        self.stored = stored


class AtomicRedisModel(BaseModel, metaclass=AtomicMetaclass):
    """A pydantic model that is stored as one document, with operations on its parts and a lifetime.

    Attributes are local until `asave`; the methods that are awaited are done by the server, and what it
    answers is what the model then holds.
    """

    # Slots, not private attributes: those would make pydantic run Python for every model it loads.
    __slots__ = ("_rapyer_identity", "_rapyer_place")

    model_config = ConfigDict(validate_assignment=True, validate_default=True)

    Meta: ClassVar[RedisConfig] = RedisConfig()

    _rapyer_kept: ClassVar[bool] = True
    __rapyer_codec__: ClassVar[Codec]
    __rapyer_key_field__: ClassVar[str | None]

    @classmethod
    def __pydantic_on_complete__(cls) -> None:
        super().__pydantic_on_complete__()
        generated = plain_class(cls) is not cls
        taken = [name for name in cls.model_fields if _is_own_name(cls, name)]
        if taken and not generated:
            raise ReservedNameError(
                f"{cls.__name__} has a field named {taken[0]!r}, which means something else in every model: "
                "rename the field"
            )
        cls.__rapyer_codec__ = Codec.of_model(plain_class(cls))
        cls.__rapyer_key_field__ = None
        for name, field in cls.model_fields.items():
            if any(map(is_key_mark, field.metadata)):
                cls.__rapyer_key_field__ = name
        # In a generated class a field comes before an attribute of that name which the class has from here.
        for name in [*cls.__rapyer_codec__.atomic_fields(), *taken]:
            setattr(cls, name, Field(name))

    @classmethod
    def _codec(cls) -> Codec:
        return cls.__rapyer_codec__

    # -- which document it is

    @classmethod
    def class_key_initials(cls) -> str:
        """What the keys of this model start with, before the colon."""
        return cls.__name__

    @property
    def pk(self) -> Any:
        """The primary key: the field marked `Key`, else an id that is made when it is first asked for."""
        name = type(self).__rapyer_key_field__
        if name is not None:
            return self.__dict__[name]
        identity = _identity(self)
        if identity.pk is None:
            identity.pk = RapyerKey(uuid4())
        return identity.pk

    @pk.setter
    def pk(self, value: str) -> None:
        _identity(self).pk = RapyerKey(value)

    @property
    def key(self) -> RapyerKey:
        """The key of its document; of a nested model, of the document it is part of."""
        root = self._locate().root
        return RapyerKey(f"{root.class_key_initials()}:{root.pk}")

    @key.setter
    def key(self, value: str) -> None:
        self.pk = value.removeprefix(f"{self.class_key_initials()}:")

    @property
    def json_path(self) -> str:
        """Where it is in its document: `$`, or for a nested model `$.field`."""
        return path_text(self._locate().segments)

    def is_inner_model(self) -> bool:
        """Whether it is part of another model's document."""
        return _place(self) is not None

    # -- storing and loading

    async def asave(self, *, only_existing: bool = False) -> Self:
        """Stores what changed since it was loaded or saved; a new model as a whole. A nested model: itself.

        With `only_existing` a document that is gone raises `KeyNotFound` instead of being created again.
        """
        location = self._locate()
        text = self._codec().dump(self)
        if location.segments:
            if only_existing:
                raise NestedModelError(
                    "only_existing is for whole documents: saving a nested model never creates its document"
                )
            await location.execute("MODEL.SET", text)
            location.root._stored.put(location.segments, text)
            return self
        identity, key = _identity(self), self.key
        stored = identity.stored if identity.stored is not None and identity.stored.key == key else None
        words: list[Word] = ["XX"] if only_existing else []
        if stored is not None:
            changes = [name for name in stored.changes(text) if self._knows(name)]
            words += ["ONLY", len(changes), *changes]
        saved = await self._execute("MODEL.SAVE", key, text, *words, creates=True)
        if saved is None:
            raise KeyNotFound(f"there is no document under {key!r}, and only_existing forbids creating it")
        identity.stored = Stored(key, text) if stored is None else stored.saved_as(text)
        return self

    @classmethod
    async def ainsert(cls, *models: Self) -> tuple[Self, ...]:
        """Stores models as new documents, each as a whole and in place of what its key held.

        They are sent together, but each is stored on its own: where one is refused, the others are there.
        """
        if not models:
            raise MissingParameterError(f"{cls.__name__}.ainsert needs at least one model")
        for model in models:
            if not isinstance(model, cls):
                raise UnsupportedArgumentTypeError(
                    f"{cls.__name__}.ainsert takes its own models, not {model!r}"
                )
            if model.is_inner_model():
                raise NestedModelError(f"{type(model).__name__} is part of a model: insert that one")
        texts = [model._codec().dump(model) for model in models]
        outcomes = await asyncio.gather(
            *(model._insert(text) for model, text in zip(models, texts, strict=True)), return_exceptions=True
        )
        for outcome in outcomes:
            if outcome is not None:
                raise outcome
        return models

    async def _insert(self, text: bytes) -> None:
        key = self.key
        await self._execute("MODEL.CREATE", key, text, creates=True)
        _identity(self).stored = Stored(key, text)

    @classmethod
    async def aget(cls, key: str) -> Self:
        """The model under a key, `Model:pk` or the pk alone. Raises `KeyNotFound`."""
        full = cls._full_key(key)
        text: Any = await cls._execute("MODEL.GET", full)
        if text is None:
            raise KeyNotFound(f"there is no {cls.__name__} under {full!r}")
        return cls._from_text(full, text)

    @classmethod
    async def afind(cls, *keys: str, skip_missing: bool = False) -> Found[Self]:
        """The models under some keys, in their order; missing ones raise `KeyNotFound` or are left out."""
        if not keys:
            raise MissingParameterError(f"{cls.__name__}.afind needs at least one key")
        full = [cls._full_key(key) for key in keys]
        texts = cast("list[bytes | None]", await cls._execute("MODEL.MGET", *full))
        missing = [key for key, text in zip(full, texts, strict=True) if text is None]
        if missing and not skip_missing:
            raise KeyNotFound(f"there is no {cls.__name__} under {', '.join(map(repr, missing))}")
        return Found(
            cls._from_text(key, text) for key, text in zip(full, texts, strict=True) if text is not None
        )

    @classmethod
    async def afind_one(cls, key: str) -> Self | None:
        """The model under a key, or None."""
        try:
            return await cls.aget(key)
        except KeyNotFound:
            return None

    async def aload(self) -> Self:
        """Takes over what the server holds. Lists, dicts and models in fields stay the same objects."""
        location = self._locate()
        text = cast("bytes | None", await location.execute("MODEL.GET"))
        if text is None:
            raise KeyNotFound(f"there is nothing at {location.path} under {location.root.key!r}")
        self._rapyer_follow(location.root._loaded(self._codec(), text))
        if location.segments:
            location.root._stored.put(location.segments, text)
        else:
            _identity(self).stored = Stored(self.key, text)
        return self

    async def aupdate(self, **values: Any) -> None:
        """Sets fields here and on the server, all or none; what else changed here stays unsaved."""
        location = self._locate()
        changed = super().__copy__()
        for name, value in values.items():
            self.__pydantic_validator__.validate_assignment(changed, name, value)
        if not values:
            return
        codec = self._codec()
        await location.root._update(
            [(location.at(name).segments, codec.field(name).dump(_held(changed, name))) for name in values]
        )
        for name in values:
            target = self.__dict__ if name in changed.__dict__ else self.__pydantic_extra__
            cast("dict[str, Any]", target)[name] = _held(changed, name)
            self.__pydantic_fields_set__.add(name)

    async def adelete(self) -> bool:
        """Removes the document; whether there was one."""
        if self.is_inner_model():
            raise BadDeleteActionError(
                "a nested model is deleted with its document: delete the model it is part of"
            )
        deleted = await self._execute("MODEL.DEL", self.key)
        _identity(self).stored = None
        return bool(deleted)

    # -- lifetime

    async def aset_ttl(self, ttl: Ttl, *, once: bool = False) -> None:
        """Gives this document a TTL of its own, from now on and for later refreshes; with `once` only now."""
        window = milliseconds(ttl, "ttl")
        self._refuse_nested("aset_ttl")
        await self._execute("MODEL.TTL", "SET", self.key, "PX", window, *(["ONCE"] if once else []))

    async def attl(self) -> float | None:
        """The seconds the document has left, or None when it does not expire. Refreshes nothing."""
        self._refuse_nested("attl")
        left = cast("int", await self._execute("PTTL", self.key))
        if left == -2:
            raise KeyNotFound(f"there is no {type(self).__name__} under {self.key!r}")
        return None if left == -1 else left / 1000

    def _refuse_nested(self, method: str) -> None:
        if self.is_inner_model():
            raise NestedModelError(
                f"{method} is for whole documents: call it on the model this one is part of"
            )

    # -- the way to the server

    @classmethod
    async def _execute(cls, command: str, *words: Word, creates: bool = False) -> Reply:
        prefix = f"{cls.class_key_initials()}:"
        return await execute(cls.Meta.route(prefix), (command, *words), creates=creates)

    async def _update(self, values: list[tuple[tuple[Segment, ...], bytes]]) -> None:
        words = [word for path, text in values for word in (path_text(path), text)]
        await self._execute("MODEL.UPDATE", self.key, *words)
        for path, text in values:
            self._stored.put(path, text)

    @classmethod
    def _full_key(cls, key: object) -> str:
        if key is None or isinstance(key, (bool, bytes, BaseModel)):
            raise UnsupportedArgumentTypeError(
                f"a key of {cls.__name__} is text, 'Model:pk' or the pk alone, not {key!r}"
            )
        text = str(key)
        prefix = f"{cls.class_key_initials()}:"
        if text.startswith(prefix):
            return text
        for other in _models() if ":" in text else ():
            if text.startswith(f"{other.class_key_initials()}:"):
                raise KeyNotFound(
                    f"{text!r} is a key of {other.__name__}: the keys of {cls.__name__} start with {prefix!r}"
                )
        return prefix + text

    @classmethod
    def _from_text(cls, key: str, text: bytes) -> Self:
        try:
            model: Self = cls.__rapyer_codec__.load(text)
        except ValidationError as error:
            raise CorruptedModelError(
                f"what is stored under {key!r} is no {cls.__name__}: {error}"
            ) from error
        _set_identity(model, (key, text))
        return model

    def _loaded(self, codec: Codec, text: bytes) -> Any:
        try:
            return codec.load(text)
        except ValidationError as error:
            raise CorruptedModelError(
                f"what is stored under {self.key!r} is no {type(self).__name__}: {error}"
            ) from error

    def _knows(self, name: bytes) -> bool:
        # What a newer release of the model put there is not this one's to remove.
        return self.model_config.get("extra") == "allow" or json.loads(name) in type(self).model_fields

    @property
    def _stored(self) -> Stored:
        """What is known of its document. Before it is loaded or saved, that is nothing worth keeping."""
        stored = _identity(self).stored
        return stored if stored is not None and stored.key == self.key else Stored(self.key, b"{}")

    # -- what sits in it

    def _locate(self) -> Location:
        place = _place(self)
        if place is None:
            return Location(self, ())
        holder, key = place
        location = holder._locate_child(self, key)
        if not holder._child_codec(key).holds_model:
            raise DetachedValueError(
                f"this {type(self).__name__} is in a field whose type does not say so and would come back as "
                "a dict: name the model in the field's annotation"
            )
        return location

    def _locate_child(self, child: Any, key: str) -> Location:
        if child._rapyer_kept and self.__dict__.get(key) is not child:
            raise DetachedValueError(
                f"this {type(child).__name__} is no longer what {type(self).__name__}.{key} holds: take it "
                "from the model again"
            )
        return self._locate().at(key)

    def _child_codec(self, key: str) -> Codec:
        return self._codec().field(key)

    def _put_child(self, child: Any, key: str, value: object) -> None:
        if not child._rapyer_kept or self.__dict__.get(key) is child:
            vars(self)[key] = value

    def _rapyer_follow(self, new: Any) -> bool:
        if not isinstance(new, BaseModel) or plain_class(type(new)) is not plain_class(type(self)):
            return False
        fields = {name: merged(self.__dict__.get(name), value) for name, value in new.__dict__.items()}
        object.__setattr__(self, "__dict__", fields)
        object.__setattr__(self, "__pydantic_extra__", new.__pydantic_extra__)
        object.__setattr__(self, "__pydantic_fields_set__", new.__pydantic_fields_set__)
        return True

    if not TYPE_CHECKING:

        def __setattr__(self, name: str, value: Any) -> None:
            # `model.tags += [...]` ends in assigning the list to itself: it stays the same object.
            if isinstance(value, (RedisList, RedisDict)) and self.__dict__.get(name) is value:
                return
            super().__setattr__(name, value)

    # -- copies, pickles, equality

    def __copy__(self) -> Self:
        return _with_identity_of(self, super().__copy__())

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return _with_identity_of(self, super().__deepcopy__(memo))

    def __getstate__(self) -> dict[Any, Any]:
        identity = _identity(self)
        stored = identity.stored
        known = None if stored is None else (stored.key, stored.text())
        return {**super().__getstate__(), "__rapyer__": (identity.pk, known)}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        pk, known = state.pop("__rapyer__")
        super().__setstate__(state)
        _set_identity(self, _Identity(pk, None if known is None else Stored(*known)))

    def __reduce_ex__(self, protocol: Any) -> Any:
        plain = plain_class(type(self))
        if plain is type(self):
            return super().__reduce_ex__(protocol)
        # No module has the generated class: a pickle of its instance is one of the class it was made from.
        return plain.__new__, (plain,), BaseModel.__getstate__(self)

    def __eq__(self, other: object) -> bool:
        if type(self) is type(other):
            return bool(super().__eq__(other))
        if not isinstance(other, BaseModel) or plain_class(type(self)) is not plain_class(type(other)):
            return NotImplemented
        return bool(self.__dict__ == other.__dict__ and self.__pydantic_extra__ == other.__pydantic_extra__)


# The slots themselves: asking a model for one that is unset would go through pydantic's `__getattr__`.
_identity_slot: Final[Any] = AtomicRedisModel.__dict__["_rapyer_identity"]
_place_slot: Final[Any] = AtomicRedisModel.__dict__["_rapyer_place"]
_set_identity: Final = _identity_slot.__set__


def _is_own_name(model: type[BaseModel], name: str) -> bool:
    return any(name in vars(base) for base in model.__mro__ if base.__module__ == __name__)


def _identity(model: AtomicRedisModel) -> _Identity:
    try:
        held = _identity_slot.__get__(model)
    except AttributeError:
        held = _Identity(None, None)
    else:
        if isinstance(held, _Identity):
            return held
        # Just loaded: the key and the text, because a load has no time for objects it may not need.
        key, text = held
        held = _Identity(RapyerKey(key.removeprefix(f"{model.class_key_initials()}:")), Stored(key, text))
    _set_identity(model, held)
    return held


def _with_identity_of(model: AtomicRedisModel, copy: _M) -> _M:
    identity = _identity(model)
    stored = identity.stored
    _set_identity(copy, _Identity(identity.pk, None if stored is None else Stored(stored.key, stored.text())))
    return copy


def _place(model: AtomicRedisModel) -> tuple[Holder, Any] | None:
    try:
        return cast("tuple[Holder, Any]", _place_slot.__get__(model))
    except AttributeError:
        return None


def _held(model: BaseModel, name: str) -> Any:
    return model.__dict__[name] if name in model.__dict__ else (model.__pydantic_extra__ or {})[name]


def _models(base: type[AtomicRedisModel] = AtomicRedisModel) -> Iterator[type[AtomicRedisModel]]:
    for model in base.__subclasses__():
        if plain_class(model) is model:
            yield model
            yield from _models(model)


@binds(BaseModel)
def _bind_model(value: BaseModel, holder: Holder, key: Any) -> AtomicRedisModel:
    bound: Any
    if not isinstance(value, AtomicRedisModel):
        kind = _generated(type(value))
        bound = kind.__new__(kind)
        bound.__dict__.update(value.__dict__)
        for slot in ("__pydantic_extra__", "__pydantic_fields_set__", "__pydantic_private__"):
            object.__setattr__(bound, slot, getattr(value, slot))
    elif is_place(_place(value), holder, key):
        return value
    elif _place(value) is None and _identity(value).stored is None:
        bound = value
    else:
        # It is a document of its own, or part of another model: what is in here is another one.
        bound = BaseModel.__copy__(value)
    _place_slot.__set__(bound, (holder, key))
    return cast("AtomicRedisModel", bound)


def _generated(plain: type[BaseModel]) -> type[AtomicRedisModel]:
    """The class that instances of a plain model become inside a stored one."""
    generated = plain.__dict__.get("__rapyer_generated__")
    if generated is None:
        namespace = {"__module__": plain.__module__, "__slots__": (), "__rapyer_plain__": plain}
        # To a checker a metaclass called by name makes instances of the wrong kind.
        make = cast("Any", AtomicMetaclass)
        generated = make(f"Redis{plain.__name__}", (plain, AtomicRedisModel), namespace)
        # Kept by the plain class, so that both live and go together.
        plain.__rapyer_generated__ = generated  # type: ignore[attr-defined]
    return cast("type[AtomicRedisModel]", generated)
