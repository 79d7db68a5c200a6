"""A model's configuration: where it is stored and how long it lives."""

from collections.abc import Callable
from enum import Enum
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar, cast, overload

from redis.asyncio import Redis, RedisCluster

from rapyer._connection import Route, connect
from rapyer._policy import Policy, Ttl, milliseconds
from rapyer.actions import ActionGroup
from rapyer.errors import (
    InvalidRefreshTtlError,
    UnsupportedArgumentTypeError,
    UnsupportedArgumentValueError,
)

__all__ = ["RedisConfig"]

_V = TypeVar("_V")


class _Unset(Enum):
    """Tells what was not given from what was given as None."""

    UNSET = "unset"


_UNSET: Final = _Unset.UNSET


class _Setting(Generic[_V]):
    """A setting that is checked when it is set, and asked of all models' settings where it is not."""

    def __init__(self, default: _V, check: Callable[[Any, str], object]) -> None:
        self._default = default
        self._check = check

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, config: None, owner: type) -> "_Setting[_V]": ...
    @overload
    def __get__(self, config: "RedisConfig", owner: type) -> _V: ...
    def __get__(self, config: "RedisConfig | None", owner: type) -> "_Setting[_V] | _V":
        return self if config is None else cast("_V", config.setting(self._name, self._default))

    def __set__(self, config: "RedisConfig", value: _V) -> None:
        self._check(value, self._name)
        config.give({self._name: value})


def _check_source(value: object, name: str) -> None:
    if value is not None:
        connect(value)


def _check_span(value: object, name: str) -> None:
    if value is not None:
        milliseconds(value, name)


def _check_refresh(value: object, name: str) -> None:
    if not isinstance(value, (bool, ActionGroup)):
        raise UnsupportedArgumentTypeError(f"{name} must be True, False or ActionGroup flags, not {value!r}")
    if isinstance(value, ActionGroup) and ActionGroup.DELETE in value:
        raise InvalidRefreshTtlError(
            f"{name} cannot hold ActionGroup.DELETE: a deleted document has no TTL to refresh; for every "
            "other group use ActionGroup.all(for_ttl=True), or True"
        )


def _check_timeout(value: object, name: str) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UnsupportedArgumentTypeError(f"{name} must be a number of seconds or None, not {value!r}")
    if not 0 < value <= 86_400:
        raise UnsupportedArgumentValueError(f"{name} must be more than 0 s, at most a day, not {value!r}")


def _check_percentage(value: object, name: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise UnsupportedArgumentTypeError(f"{name} must be an int, not {value!r}")
    if not 1 <= value <= 100:
        raise UnsupportedArgumentValueError(f"{name} must be from 1 to 100, not {value!r}")


def _check_policies(value: object, name: str) -> None:
    if value not in ("send", "expect"):
        raise UnsupportedArgumentValueError(f"{name} must be 'send' or 'expect', not {value!r}")


def _check_flag(value: object, name: str) -> None:
    if not isinstance(value, bool):
        raise UnsupportedArgumentTypeError(f"{name} must be True or False, not {value!r}")


def _check_count(value: object, name: str) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise UnsupportedArgumentTypeError(f"{name} must be an int or None, not {value!r}")
    if value is not None and value < 1:
        raise UnsupportedArgumentValueError(f"{name} must be at least 1, not {value!r}")


_Source: TypeAlias = str | Redis | RedisCluster | None
_Policies: TypeAlias = Literal["send", "expect"]


class RedisConfig:
    """One model's settings, its `Meta`. Each may be set at any time and takes effect at once.

    What is not set is what `init_rapyer` set for all models, and failing that the default.
    """

    __slots__ = ("_base", "_changes", "_given", "_route")

    redis = _Setting[_Source](None, _check_source)
    """A URL (`redis://…`, `embedded://NAME`), a `redis.asyncio` client of a server, of a Sentinel's primary
    or of a cluster, or None for `RAPYER_URL`."""

    timeout = _Setting[float | None](None, _check_timeout)
    """How many seconds a server may take to accept a connection, to reply, and to get over a state in which
    it refuses commands. None: 5 s for each, unless a client's or a URL's `socket_connect_timeout` and
    `socket_timeout` say otherwise; a URL's hold in any case."""

    ttl = _Setting[Ttl | None](None, _check_span)
    """How long a document lives without being refreshed: whole seconds, a timedelta, or None for ever."""

    refresh_ttl = _Setting[bool | ActionGroup](True, _check_refresh)
    """Which operations start the TTL anew: all (True), none (False), or those of some groups."""

    absolute_ttl = _Setting[Ttl | None](None, _check_span)
    """The longest a document lives, counted from its creation, however often it is refreshed."""

    read_touch_pct = _Setting[int](100, _check_percentage)
    """Reads refresh only once at most this percentage of the TTL is left; 100: always."""

    policies = _Setting[_Policies]("send", _check_policies)
    """`send` puts the model's lifetime policy on the server; `expect` relies on its being there."""

    safe_load_all = _Setting[bool](False, _check_flag)
    """Finding leaves out documents that do not validate, with a warning in the log, instead of raising."""

    pickle_fallback = _Setting[bool](False, _check_flag)
    """Fields of types that have no JSON are stored as pickles. Loading one runs what is in it: whoever can
    write to the server can run code in the programs that read it."""

    store_excluded = _Setting[bool](False, _check_flag)
    """Whether fields with `Field(exclude=True)` are stored. Read when the model's class is made."""

    init_with_rapyer = _Setting[bool](True, _check_flag)
    """Whether what `init_rapyer` set for all models holds for this one too."""

    prefer_normal_json_dump = _Setting[bool](True, _check_flag)
    """Accepted for code that gives it: documents are always JSON."""

    optimistic = _Setting[bool](False, _check_flag)
    """Whether `asave` takes `if_unchanged=True` for granted: it raises `StaleModelError` where others changed
    the document since it was loaded. Loading tells the version then."""

    max_delete_per_transaction = _Setting[int | None](1000, _check_count)
    """`adelete_many` deletes at most so many documents at a time; None: all of them at once."""

    def __init__(
        self,
        *,
        redis: _Source | _Unset = _UNSET,
        timeout: float | None | _Unset = _UNSET,
        ttl: Ttl | None | _Unset = _UNSET,
        refresh_ttl: bool | ActionGroup | _Unset = _UNSET,
        absolute_ttl: Ttl | None | _Unset = _UNSET,
        read_touch_pct: int | _Unset = _UNSET,
        policies: _Policies | _Unset = _UNSET,
        safe_load_all: bool | _Unset = _UNSET,
        pickle_fallback: bool | _Unset = _UNSET,
        store_excluded: bool | _Unset = _UNSET,
        init_with_rapyer: bool | _Unset = _UNSET,
        prefer_normal_json_dump: bool | _Unset = _UNSET,
        optimistic: bool | _Unset = _UNSET,
        max_delete_per_transaction: int | None | _Unset = _UNSET,
    ) -> None:
        self._base: RedisConfig | None = None
        self._changes = 0
        self._given: dict[str, Any] = {}
        self._route: tuple[tuple[int, int], Route] | None = None
        settings = {
            "redis": redis,
            "timeout": timeout,
            "ttl": ttl,
            "refresh_ttl": refresh_ttl,
            "absolute_ttl": absolute_ttl,
            "read_touch_pct": read_touch_pct,
            "policies": policies,
            "safe_load_all": safe_load_all,
            "pickle_fallback": pickle_fallback,
            "store_excluded": store_excluded,
            "init_with_rapyer": init_with_rapyer,
            "prefer_normal_json_dump": prefer_normal_json_dump,
            "optimistic": optimistic,
            "max_delete_per_transaction": max_delete_per_transaction,
        }
        for name, value in settings.items():
            if value is not _UNSET:
                setattr(self, name, value)

    def setting(self, name: str, default: object) -> object:
        """What is set here, else for all models, else the default."""
        if name in self._given:
            return self._given[name]
        shared = self._base if self._given.get("init_with_rapyer", True) else None
        return default if shared is None else shared.setting(name, default)

    def give(self, settings: dict[str, Any]) -> None:
        """Sets what was checked already."""
        self._given |= settings
        self._changes += 1

    def update(self, other: "RedisConfig") -> None:
        """Takes over what is set in another one; the rest stays."""
        self.give(other._given)

    def replace(self, other: "RedisConfig") -> None:
        """Takes over what is set in another one, and forgets what was set here."""
        self._given = {}
        self.give(other._given)

    def adopted(self, parent: "RedisConfig | None") -> "RedisConfig":
        """A copy for a model of its own, whose parent has `parent`."""
        copy = RedisConfig()
        if parent is not None:
            copy._base = parent._base or parent
        if self is not copy._base:
            copy._given = dict(self._given)
        return copy

    def route(self, prefix: str) -> Route:
        """What these settings mean for a command on a key under `prefix`."""
        revision = (self._changes, 0 if self._base is None else self._base._changes)
        if self._route is None or self._route[0] != revision or self._route[1].policy.prefix != prefix:
            source = self.redis
            transport = None if source is None else connect(source, self.timeout)
            policy = Policy.of(prefix, self.ttl, self.refresh_ttl, self.absolute_ttl, self.read_touch_pct)
            sends = self.policies == "send"
            self._route = (revision, Route(transport, policy, sends, self.timeout, self.optimistic))
        return self._route[1]

    def __repr__(self) -> str:
        return f"RedisConfig({', '.join(f'{name}={value!r}' for name, value in self._given.items())})"
