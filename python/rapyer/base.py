"""The base of all models."""

import asyncio
import logging
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar, cast
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import SchemaValidator, from_json
from typing_extensions import Self

import rapyer._commands as commands
from rapyer._assignment import assign, names_updated, set_default, take_values, updated
from rapyer._binding import (
    COPIED,
    Holder,
    Location,
    bind,
    binds,
    field,
    handed_out,
    is_nested,
    is_place,
    merged,
    path_text,
    place_of,
)
from rapyer._codec import Codec, key_field, plain_class
from rapyer._connection import Route, execute
from rapyer._excluded import loading
from rapyer._keys import full_key, full_keys, key_of, refuse_nested
from rapyer._lifetime import ask_lifetime, change_lifetime
from rapyer._local import held_at, members_of
from rapyer._lock import LEASE, Duration, Lock, fence_of
from rapyer._many import delete_all, delete_matching, find, insert, load_many, pages
from rapyer._metaclass import AtomicMetaclass
from rapyer._policy import Ttl, milliseconds
from rapyer._registry import holds_models
from rapyer._saving import save, save_place
from rapyer._state import State, is_versioned, load, rebase, state_of, told
from rapyer._transaction import Block, Transaction, current, operate, read, taking_part
from rapyer.actions import ActionGroup, acts
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
    UnsupportedArgumentValueError,
)
from rapyer.fields import RapyerKey
from rapyer.query import Filter, condition_of
from rapyer.result import DeleteResult, Found, GetOrCreateResult, GetOrCreateStatus
from rapyer.types import RedisDict, RedisList, RedisSet
from rapyer.types._atomic import loaded
from rapyer.types._increase import increase_document

__all__ = ["AtomicRedisModel"]

_M = TypeVar("_M")
_Model = TypeVar("_Model", bound="AtomicRedisModel")

_CONTAINERS: Final = frozenset({RedisDict, RedisList, RedisSet})
_LISTS: Final = frozenset({list, RedisList})
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_log: Final = logging.getLogger("rapyer")


class AtomicRedisModel(BaseModel, metaclass=AtomicMetaclass):
    """A pydantic model that is stored as one document, with operations on its parts and a lifetime.

    Attributes are local until `asave`; the methods that are awaited are done by the server, and what it
    answers is what the model then holds.
    """

    # Slots, not private attributes: those would make pydantic run Python for every model it loads.
    __slots__ = ("_rapyer_place", "_rapyer_saved")

    model_config = ConfigDict(validate_assignment=True, validate_default=True)

    Meta: ClassVar[RedisConfig] = RedisConfig()

    _rapyer_kept: ClassVar[bool] = True
    __rapyer_codec__: ClassVar[Codec]
    __rapyer_fields__: ClassVar[SchemaValidator | None]
    __rapyer_key_field__: ClassVar[str | None]
    __rapyer_loads_key__: ClassVar[bool]

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
        cls.__rapyer_fields__ = None
        cls.__rapyer_key_field__ = key_field(cls)
        cls.__rapyer_codec__ = Codec.of_model(
            plain_class(cls),
            lambda: cls.Meta.pickle_fallback,
            stores_excluded=cls.Meta.store_excluded,
            key=cls.__rapyer_key_field__,
        )
        cls.__rapyer_loads_key__ = cls.__rapyer_key_field__ in cls.__rapyer_codec__.excluded
        # In a generated class a field comes before an attribute of that name which the class has from here.
        for name in [*cls.__rapyer_codec__.atomic_fields(), *taken]:
            setattr(cls, name, field(name, cls.model_fields[name].deprecation_message))

    # -- which document it is

    @classmethod
    def class_key_initials(cls) -> str:
        """What the keys of this model start with, before the colon."""
        return cls.__name__

    @property
    def key_initials(self) -> str:
        """What its key starts with, before the colon."""
        return self.class_key_initials()

    @property
    def pk(self) -> Any:
        """The primary key: the field marked `Key`, else an id that is made when it is first asked for."""
        name = type(self).__rapyer_key_field__
        if name is not None:
            return self.__dict__[name]
        state = self._rapyer_state()
        if state.pk is None:
            state.pk = RapyerKey(uuid4())
        return state.pk

    @pk.setter
    def pk(self, value: str) -> None:
        # Another document, of which nothing is known.
        _save_slot(self, State(RapyerKey(value)))

    @property
    def key(self) -> RapyerKey:
        """The key of its document; of a nested model, of the document it is part of."""
        return self._rapyer_locate().key

    @key.setter
    def key(self, value: str) -> None:
        self.pk = value.removeprefix(f"{self.class_key_initials()}:")

    @property
    def json_path(self) -> str:
        """Where it is in its document: `$`, or for a nested model `$.field`."""
        return self._rapyer_locate().path

    @property
    def field_path(self) -> str:
        """The same without the root's sign: nothing, or for a nested model `field`."""
        return self._rapyer_locate().field_path

    @property
    def field_name(self) -> str:
        """The last step of it: a nested model's name there, or the index of a list's element."""
        return self._rapyer_locate().field_name

    def is_inner_model(self) -> bool:
        """Whether it is part of another model's document."""
        return is_nested(self)

    @property
    def failed_fields(self) -> frozenset[str]:
        """The fields annotated with `SafeLoad` that are None because what is stored there is not valid."""
        base = state_of(self).base
        return frozenset(
            name
            for name in self.__rapyer_codec__.safe_fields
            if base is not None
            and self.__dict__.get(name) is None
            and base.get(path_text((name,))) not in (None, b"null")
        )

    # -- storing and loading

    @acts(ActionGroup.CREATE, ActionGroup.UPDATE)
    async def asave(self, *, only_existing: bool = False, if_unchanged: bool | None = None) -> Self:
        """Stores what changed since it was loaded or saved; a new model as a whole. A nested model: itself.

        Args:
            only_existing: raise `KeyNotFound` for a document that is gone, instead of creating it again.
            if_unchanged: raise `StaleModelError` where others have changed, deleted or made the document
                since this model last saw it; None: as `Meta.optimistic` says.
        """
        location = self._rapyer_locate()
        codec = self.__rapyer_codec__
        if location.segments:
            if only_existing:
                raise NestedModelError(
                    "only_existing is for whole documents: saving a nested model never creates its document"
                )
            if if_unchanged:
                raise NestedModelError(
                    "if_unchanged is for whole documents: save the model that this one is part of"
                )
            await save_place(location, codec.dump(self), self)
        elif (transaction := taking_part(self)) is not None:
            insists = transaction.enlist(self).route.optimistic if if_unchanged is None else if_unchanged
            exists = only_existing or fence_of(self) is not None
            transaction.save(self, codec.text(self), only_existing=exists, if_unchanged=insists)
        else:
            route = self._rapyer_route()
            insists = route.optimistic if if_unchanged is None else if_unchanged
            text = codec.text(self)
            await save(self, location.key, route, text, only_existing=only_existing, if_unchanged=insists)
        return self

    @classmethod
    @acts(ActionGroup.CREATE)
    async def ainsert(cls, *models: Self) -> tuple[Self, ...]:
        """Stores models as new documents, each as a whole and in place of what its key held: all or none.

        In a cluster that is said of the models in one slot.
        """
        if not models:
            raise MissingParameterError(f"{cls.__name__}.ainsert needs at least one model")
        for model in models:
            if not isinstance(model, cls):
                raise UnsupportedArgumentTypeError(
                    f"{cls.__name__}.ainsert takes its own models, not {model!r}"
                )
            refuse_nested(model, "ainsert")
        await insert([(model, model.__rapyer_codec__.dump(model)) for model in models])
        return models

    @classmethod
    @acts(ActionGroup.CREATE, ActionGroup.READ, ActionGroup.FETCH)
    async def aget_or_create(cls, model: Self) -> GetOrCreateResult[Self]:
        """What is stored under a model's key; where that is nothing, the model is stored, in the same step.

        It is done at once, in a transaction too.
        """
        if not isinstance(model, cls):
            raise UnsupportedArgumentTypeError(
                f"{cls.__name__}.aget_or_create takes one of its own models, not {model!r}"
            )
        refuse_nested(model, "aget_or_create")
        key, text = model.key, model.__rapyer_codec__.dump(model)
        route = model._rapyer_route()
        words = commands.getorcreate(key, text, withversion=route.optimistic, expect_policy=True)
        (created, stored), version = told(await execute(route, words), route.optimistic)
        if not created:
            found = type(model)._rapyer_from_text(key, stored, version)
            return GetOrCreateResult(found, GetOrCreateStatus.FOUND)
        state_of(model).know(key, text, version)
        return GetOrCreateResult(model, GetOrCreateStatus.CREATED)

    @acts(ActionGroup.CREATE)
    async def aduplicate(self) -> Self:
        """A new document with the value that this one's has on the server, under a key of its own."""
        return (await self.aduplicate_many(1))[0]

    @acts(ActionGroup.CREATE)
    async def aduplicate_many(self, count: int) -> list[Self]:
        """Several new documents with the value that this one's has on the server: all or none."""
        refuse_nested(self, "aduplicate")
        cls = type(self)
        if (name := cls.__rapyer_key_field__) is not None:
            raise UnsupportedArgumentValueError(
                f"a duplicate needs another key, and that of {cls.__name__} is its field {name!r}: save a "
                f"model_copy(update={{{name!r}: ...}})"
            )
        if count < 0:
            raise UnsupportedArgumentValueError(f"{count!r} duplicates cannot be made")
        text = cast("bytes | None", await execute(cls._rapyer_route(), commands.get_ro(self.key)))
        if text is None:
            raise KeyNotFound(f"there is no {cls.__name__} under {self.key!r} to duplicate")
        copies = [cls._rapyer_from_text(f"{cls.class_key_initials()}:{uuid4()}", text) for _ in range(count)]
        await asyncio.gather(
            *(
                execute(copy._rapyer_route(), commands.create(copy.key, text, nx=True, expect_policy=True))
                for copy in copies
            )
        )
        return copies

    @classmethod
    @acts(ActionGroup.READ, ActionGroup.FETCH)
    async def aget(cls, key: str) -> Self:
        """The model under a key, `Model:pk` or the pk alone. Raises `KeyNotFound`."""
        full = full_key(cls, key)
        route = cls._rapyer_route()
        # What a model's validators have seen is told by the version.
        versioned = route.optimistic or cls.__rapyer_codec__.validates
        reply = await execute(route, commands.get(full, withversion=versioned))
        text, version = told(reply, versioned)
        if text is None:
            raise KeyNotFound(f"there is no {cls.__name__} under {full!r}")
        return cls._rapyer_from_text(full, text, version)

    @classmethod
    @acts(ActionGroup.READ, ActionGroup.FETCH)
    async def afind(
        cls, *keys: "str | Filter", skip_missing: bool = False, max_results: int | None = None
    ) -> Found[Self]:
        """The models under some keys, in their order; missing ones raise `KeyNotFound` or are left out.

        With conditions instead of keys, `User.age >= 18`: the models of this class that fulfil all of them;
        with neither, all models. At most `max_results`, in no order. That looks at every key of the server,
        and for conditions at every document of this class, in small steps; only what is found is refreshed.
        """
        if max_results is not None and max_results < 0:
            raise UnsupportedArgumentValueError(f"max_results must not be negative, and is {max_results!r}")
        condition = condition_of(cls, "afind", keys)
        if condition is None and keys:
            found = await load_many(cls, full_keys(cls, keys), skip_missing)
            return Found(found if max_results is None else found[:max_results])
        return Found(await find(cls, condition, max_results))

    @classmethod
    @acts()
    async def afind_keys(cls, max_results: int | None = None) -> list[RapyerKey]:
        """The keys of all models of this class, at most `max_results`, in no order. Refreshes nothing."""
        if max_results is not None and max_results < 0:
            raise UnsupportedArgumentValueError(f"max_results must not be negative, and is {max_results!r}")
        keys: list[RapyerKey] = []
        async for page in pages(cls, max_results):
            keys += map(RapyerKey, page)
            if max_results is not None and len(keys) >= max_results:
                break
        return keys[:max_results]

    @classmethod
    @acts()
    async def aexists(cls, key: "str | AtomicRedisModel") -> bool:
        """Whether there is a document under a key, or of a model. Refreshes nothing."""
        if isinstance(key, AtomicRedisModel):
            refuse_nested(key, "aexists")
            key = key.key
        return bool(await execute(cls._rapyer_route(), commands.contains_ro(full_key(cls, key), "$")))

    @classmethod
    @acts(ActionGroup.READ, ActionGroup.FETCH)
    async def afind_one(cls, *keys: "str | Filter") -> Self | None:
        """The model under a key, or one that fulfils all of some conditions, or None."""
        condition = condition_of(cls, "afind_one", keys)
        if condition is not None or not keys:
            return next(iter(await find(cls, condition, 1)), None)
        key, *more = keys
        if more:
            raise UnsupportedArgumentValueError(
                f"{cls.__name__}.afind_one takes one key, not {len(keys)}: afind takes several"
            )
        try:
            return await cls.aget(full_key(cls, key))
        except KeyNotFound:
            return None

    @acts(ActionGroup.READ, ActionGroup.FETCH)
    async def aload(self) -> Self:
        """Takes over what the server holds. Lists, dicts and models in fields stay the same objects.

        Returns:
            This model; of a nested model what is at its place by now, None for null.

        Raises:
            KeyNotFound: the document is gone, or has nothing at the nested model's place.
            CorruptedModelError: what is there is not what its class says.
        """
        location = self._rapyer_locate()
        if (place := place_of(self)) is not None:
            holder, key = place
            value = await loaded(location, holder._rapyer_child_codec(key))
            if value is None and held_at(location.root, location.segments) is not None:
                raise KeyNotFound(f"there is nothing at {location.path} under {location.key!r}")
            return cast("Self", bind(held_at(location.root, location.segments), holder, key))
        transaction = taking_part(self)
        takes_part = transaction is not None and transaction.holds(self)
        versioned = not takes_part and is_versioned(self._rapyer_route(), state_of(self))
        words = commands.get(location.key, strict=True, withversion=versioned)
        text, version = told(await read(location, words), versioned)
        if not takes_part:
            self._rapyer_follow(load(self, self.__rapyer_codec__, text))
            state_of(self).know(location.key, text, version)
        return self

    @acts(ActionGroup.UPDATE)
    async def aupdate(self, **values: Any) -> None:
        """Sets fields here and on the server, all or none; what else changed here stays unsaved.

        The model's validators see all the values together, and what they change besides is sent as well.
        """
        location = self._rapyer_locate()
        if not values:
            return
        changed = updated(self, values)
        if (transaction := taking_part(location.root)) is not None:
            transaction.enlist(location.root, known=True)
            take_values(self, changed, values)
            return
        codec, known = self.__rapyer_codec__, dict[bytes, Any]()
        assignments: list[tuple[str, bytes]] = []
        for name in names_updated(self, changed, values):
            value = members_of(changed, name)[name]
            if name in codec.excluded:
                members_of(self, name)[name] = value
                continue
            text = codec.member(name).dump(value)
            known[text] = value
            assignments.append((location.at(name).path, text))
        if assignments:
            await operate(location, partial(commands.update, location.key, *assignments), known=known)

    @acts(ActionGroup.UPDATE)
    async def aset_default(self, field: str, value: Any) -> Any:
        """Sets a field that is missing or null on the server, in one command; what is there then.

        For fields that a newer release added, and for values that are worked out once. In a block, which is
        refused where something else is there by its end.

        Args:
            field: the field's name.
            value: what it is set to where there is nothing.

        Raises:
            KeyNotFound: the document is gone.
            UnsupportedArgumentValueError: there is no such field.
        """
        await set_default(self, field, value)
        return getattr(self, field)

    @classmethod
    @acts(ActionGroup.UPDATE, ActionGroup.ARITHMETIC)
    async def aincrease(
        cls,
        key: str,
        field: str,
        /,
        by: float = 1,
        *,
        minimum: float | None = None,
        maximum: float | None = None,
        **defaults: Any,
    ) -> float | None:
        """Adds to a number of the document under a key, without loading it; creates it where there is none.

        One command, in a block too, where it is done at once. A new document has its TTL with it.

        Args:
            key: `Model:pk` or the pk alone.
            field: the name of a field that is a whole number or a float.
            by: what is added.
            minimum: where the number would be below, nothing is done.
            maximum: where the number would be above, nothing is done.
            defaults: the fields of a document that is made, as for the class.

        Returns:
            The number as it is then; None where `minimum` or `maximum` is not met.

        Raises:
            ConstraintError: it would break a bound of the field, such as `Field(le=10)`.
            UnsupportedArgumentTypeError: the field is no number, or an argument is none of its type.
            UnsupportedArgumentValueError: there is no such field.
        """
        return await increase_document(cls, full_key(cls, key), field, by, minimum, maximum, defaults)

    def update(self, **values: Any) -> None:
        """Sets fields, all or none, as assignments do, but validated together: here, until it is saved."""
        if values:
            take_values(self, updated(self, values), values)

    def redis_dump_json(self) -> str:
        """The text of its document, as saving stores it."""
        return self.__rapyer_codec__.dump(self).decode()

    def redis_dump(self) -> dict[str, Any]:
        """The same as JSON's types."""
        return cast("dict[str, Any]", from_json(self.__rapyer_codec__.dump(self)))

    @acts(ActionGroup.DELETE)
    async def adelete(self) -> bool:
        """Removes the document; whether there was one."""
        if is_nested(self):
            raise BadDeleteActionError(
                "a nested model is deleted with its document: delete the model it is part of"
            )
        if (transaction := taking_part(self)) is not None:
            return transaction.delete(self)
        deleted = await execute(self._rapyer_route(), commands.del_(self.key))
        state_of(self).know(self.key, None)
        return bool(deleted)

    @classmethod
    @acts(ActionGroup.DELETE)
    async def adelete_by_key(cls, key: str) -> bool:
        """Removes the document under a key, `Model:pk` or the pk alone; whether there was one."""
        return (await cls.adelete_many(key)).models_deleted == 1

    @classmethod
    @acts(ActionGroup.DELETE)
    async def adelete_many(cls, *models: "Self | str | Filter") -> DeleteResult:
        """Removes the documents of models, under keys, or that fulfil all of some conditions; how many."""
        if not models:
            raise UnsupportedArgumentTypeError(
                f"{cls.__name__}.adelete_many needs a model, key or condition: it never deletes everything"
            )
        condition = condition_of(cls, "adelete_many", models)
        if condition is not None:
            return DeleteResult(await delete_matching(cls, condition), current() is None)
        deleted = await delete_all(cls, [key_of(cls, model) for model in models])
        return DeleteResult(deleted, current() is None)

    # -- lifetime

    @acts()
    async def aset_ttl(self, ttl: Ttl, *, once: bool = False) -> None:
        """Gives this document a TTL of its own, from now on and for later refreshes; with `once` only now."""
        window = milliseconds(ttl, "ttl")
        await change_lifetime(self, "aset_ttl", commands.ttl_set(self.key, ("PX", window), once=once))

    @acts()
    async def apersist(self) -> bool:
        """Lets this document live until it is deleted or given a TTL again; whether it had a deadline."""
        return await change_lifetime(self, "apersist", commands.ttl_persist(self.key))

    @acts()
    async def atouch(self) -> bool:
        """Starts this document's TTL anew, whatever `refresh_ttl` says; whether its deadline moved."""
        return await change_lifetime(self, "atouch", commands.ttl_touch(self.key))

    @acts()
    async def aexpires_at(self) -> datetime | None:
        """The moment the document expires, in UTC, or None when it does not. Refreshes nothing."""
        moment = await ask_lifetime(self, "aexpires_at", "PEXPIRETIME")
        return None if moment is None else _EPOCH + timedelta(milliseconds=moment)

    @acts()
    async def attl(self) -> float | None:
        """The seconds the document has left, or None when it does not expire. Refreshes nothing."""
        left = await ask_lifetime(self, "attl", "PTTL")
        return None if left is None else left / 1000

    # -- transactions and locks

    @acts(ActionGroup.READ, ActionGroup.FETCH)
    def apipeline(
        self, ignore_redis_error: bool = False, use_existing_pipe: bool = False, *, fresh: bool = True
    ) -> Block[Self]:
        """A block whose changes to models are sent at its end, and applied all together or not at all.

        When the block fails or the server refuses what it recorded, models are what they were on entry.

        Args:
            ignore_redis_error: a missing document and a refusal are no errors.
            use_existing_pipe: join the transaction that the block is in; otherwise it is one of its own.
            fresh: load the fields without unsaved changes anew on entry. Without that, the block is one round
                trip, on what is known of the document.
        """
        refuse_nested(self, "apipeline")

        async def enter(block: Transaction) -> Self:
            if fresh and not block.holds(self):
                try:
                    await _reload(self)
                except KeyNotFound:
                    if not ignore_redis_error:
                        raise
            block.enlist(self, known=True)
            return self

        return Block(enter, ignore_redis_error=ignore_redis_error, use_existing_pipe=use_existing_pipe)

    @acts(ActionGroup.READ, ActionGroup.FETCH)
    def alock(
        self,
        action: str = "default",
        save_at_end: bool = False,
        *,
        lease: Duration = LEASE,
        timeout: Duration | None = None,
    ) -> Lock[Self]:
        """A lock on this document for one kind of action, held for the block: `async with model.alock():`.

        On entry, fields without unsaved changes are loaded anew.

        Args:
            action: blocks of different actions do not exclude each other.
            save_at_end: save the model after a block that did not fail, in one step with a look at the lock.
                A document that was deleted stays so, `KeyNotFound`; nothing is saved once the lease is over.
            lease: the seconds, or a timedelta, after which the lock of a holder that died is free. While it
                is held it is renewed.
            timeout: how many seconds to wait for the lock before `LockTimeoutError`, also where the server
                is silent; None: for ever, while the server answers. 0: it is asked once.
        """
        refuse_nested(self, "alock")
        return Lock(
            type(self)._rapyer_route(),
            self.key,
            action,
            lease=lease,
            timeout=timeout,
            enter=partial(_reload, self),
            leave=type(self).asave if save_at_end else None,
        )

    @classmethod
    @acts(ActionGroup.READ, ActionGroup.FETCH)
    def alock_from_key(
        cls,
        key: str,
        action: str = "default",
        save_at_end: bool = False,
        *,
        lease: Duration = LEASE,
        timeout: Duration | None = None,
    ) -> "Lock[Self | None]":
        """The same lock for the document under a key; the block gets its model, or None without one."""

        async def save(model: "Self | None") -> None:
            if model is not None:
                await model.asave()

        full = full_key(cls, key)
        return Lock(
            cls._rapyer_route(),
            full,
            action,
            lease=lease,
            timeout=timeout,
            enter=partial(cls.afind_one, full),
            leave=save if save_at_end else None,
        )

    # -- the way to the server

    @classmethod
    def _rapyer_route(cls) -> Route:
        return cls.Meta.route(f"{cls.class_key_initials()}:")

    @classmethod
    def _rapyer_from_text(cls, key: str, text: bytes, version: bytes | None = None) -> Self:
        try:
            if cls.__rapyer_loads_key__:
                with loading(key.removeprefix(f"{cls.class_key_initials()}:")):
                    model: Self = cls.__rapyer_codec__.load(text)
            else:
                model = cls.__rapyer_codec__.load(text)
        except ValidationError as error:
            raise CorruptedModelError(
                f"what is stored under {key!r} is no {cls.__name__}: {error}"
            ) from error
        _save_slot(model, (key, text, version))
        return model

    def _rapyer_state(self) -> State:
        try:
            held = _saved_slot.__get__(self)
        except AttributeError:
            held = State(None)
        else:
            if isinstance(held, State):
                return held
            # Just loaded: what a state is made of, because a load has no time for objects it may not need.
            key, text, version = held
            pk = RapyerKey(key.removeprefix(f"{self.class_key_initials()}:"))
            held = State(pk, RapyerKey(key), text, version)
        _save_slot(self, held)
        return held

    # -- what sits in it

    def _rapyer_locate(self) -> Location:
        try:
            holder, key = _place_slot.__get__(self)
        except AttributeError:
            return Location(self, (), _own_key(self))
        location: Location = holder._rapyer_locate_child(self, key)
        if not holder._rapyer_child_codec(key).holds_model:
            raise DetachedValueError(
                f"this {type(self).__name__} is in a field whose type does not say so and would come back as "
                "a dict: name the model in the field's annotation"
            )
        return location

    def _rapyer_locate_child(self, child: Any, key: str) -> Location:
        if child._rapyer_kept and self.__dict__.get(key) is not child:
            raise DetachedValueError(
                f"this {type(child).__name__} is no longer what {type(self).__name__}.{key} holds: take it "
                "from the model again"
            )
        return self._rapyer_locate().at(key)

    def _rapyer_child_codec(self, key: str) -> Codec:
        return self.__rapyer_codec__.field(key)

    def _rapyer_is_plain(self) -> bool:
        place = place_of(self)
        return place is not None and place[0]._rapyer_is_plain()

    def _rapyer_follow(self, new: Any) -> bool:
        if not isinstance(new, BaseModel) or plain_class(type(new)) is not plain_class(type(self)):
            return False
        fields = {name: merged(self.__dict__.get(name), value) for name, value in new.__dict__.items()}
        for name in self.__rapyer_codec__.excluded & self.__dict__.keys():
            # What is not stored is what it is here.
            fields[name] = self.__dict__[name]
        object.__setattr__(self, "__dict__", fields)
        object.__setattr__(self, "__pydantic_extra__", new.__pydantic_extra__)
        object.__setattr__(self, "__pydantic_fields_set__", new.__pydantic_fields_set__)
        return True

    if not TYPE_CHECKING:

        def __setattr__(self, name: str, value: Any) -> None:
            # `model.tags += [...]` ends in assigning the list to itself: it stays the same object.
            if type(value) in _CONTAINERS and self.__dict__.get(name) is value:
                return
            assign(self, name, value, partial(super().__setattr__, name, value))

    # -- copies, pickles, equality

    # That of a document knows what it knows; that of a nested model is a plain value.

    def __copy__(self) -> Self:
        copy = _like(self, super().__copy__())
        if place_of(self) is None and self._rapyer_state().forks:
            # What fields hold is made anew in place where the block fails: the copy has its own.
            for name in list(copy.__dict__):
                handed_out(copy, name)
        return copy

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return _like(self, super().__deepcopy__(memo))

    def __getstate__(self) -> dict[Any, Any]:
        known = None
        if place_of(self) is None:
            state = self._rapyer_state().copy()
            text = None if state.base is None else state.base.text()
            known = (state.pk, state.key, text, state.version)
        return {**super().__getstate__(), "__rapyer__": known}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        known = state.pop("__rapyer__")
        super().__setstate__(state)
        if known is None:
            _place_slot.__set__(self, COPIED)
        else:
            _save_slot(self, State(*known))

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


holds_models(AtomicRedisModel)

# The slots themselves: asking a model for one that is unset would go through pydantic's `__getattr__`.
_saved_slot: Final[Any] = AtomicRedisModel.__dict__["_rapyer_saved"]
_place_slot: Final[Any] = AtomicRedisModel.__dict__["_rapyer_place"]
_save_slot: Final = _saved_slot.__set__


def _own_key(model: AtomicRedisModel) -> RapyerKey:
    """The key of a model that is a document of its own."""
    if model.__rapyer_key_field__ is None:
        try:
            held = _saved_slot.__get__(model)
        except AttributeError:
            held = None
        if type(held) is State and held.key is not None:
            return held.key
    return RapyerKey(f"{model.class_key_initials()}:{model.pk}")


def _is_own_name(model: type[BaseModel], name: str) -> bool:
    return any(name in vars(base) for base in model.__mro__ if base.__module__ == __name__)


def _like(model: AtomicRedisModel, copy: _M) -> _M:
    if place_of(model) is None:
        _save_slot(copy, model._rapyer_state().copy())
    else:
        _place_slot.__set__(copy, COPIED)
    return copy


async def _reload(model: _Model) -> _Model:
    """Takes over what the server holds of the fields that have no unsaved changes."""
    route = type(model)._rapyer_route()
    versioned = is_versioned(route, state_of(model))
    text, version = told(await execute(route, commands.get(model.key, withversion=versioned)), versioned)
    if text is None:
        raise KeyNotFound(f"there is no {type(model).__name__} under {model.key!r}")
    rebase(model, text, version)
    return model


@binds(BaseModel)
def _bind_model(value: BaseModel, holder: Holder, key: Any) -> AtomicRedisModel:
    bound: Any
    if not isinstance(value, AtomicRedisModel):
        kind = _generated(type(value))
        bound = kind.__new__(kind)
        bound.__dict__.update(value.__dict__)
        for slot in ("__pydantic_extra__", "__pydantic_fields_set__", "__pydantic_private__"):
            object.__setattr__(bound, slot, getattr(value, slot))
    elif is_place(place_of(value), holder, key):
        return value
    elif place_of(value) is COPIED or (place_of(value) is None and value._rapyer_state().base is None):
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
