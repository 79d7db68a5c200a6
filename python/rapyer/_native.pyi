from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias, TypedDict

_Reply: TypeAlias = bytes | int | list[_Reply] | None

class CommandError(Exception):
    """An error reply: its text starts with the error's prefix."""

class Engine:
    """A database of documents in this process."""

    def __init__(self) -> None: ...
    def execute(self, args: Sequence[bytes]) -> _Reply:
        """Runs one command given as its words, and returns its reply."""

    def limits(self) -> dict[str, int]:
        """The limits by their names."""

    def set_limit(self, name: str, value: int) -> None:
        """Sets a limit by its name; ValueError for a value out of its range."""

    def now(self) -> int:
        """The engine's time, in milliseconds since the epoch."""

    def advance(self, milliseconds: int) -> None:
        """Moves the engine's clock by this many milliseconds."""

_Steps: TypeAlias = tuple[str | int, ...]
Change: TypeAlias = (
    tuple[Literal["put"], _Steps, bytes]
    | tuple[Literal["unset"], _Steps]
    | tuple[Literal["insert"], _Steps, int | None, list[bytes]]
    | tuple[Literal["cut"], _Steps, int, list[bytes]]
)
"""What an operation did to the value at a place: `put` a value there, `unset` the member, had elements come
(`insert`) before an index or at the end, or go (`cut`) from an index on."""

class Document:
    """An engine document without a key, an expiry or a policy: what a model knows of the server's.

    Forks share its memory until one of them changes.
    """

    def __init__(self, text: bytes) -> None: ...
    def apply(self, words: Sequence[bytes | str | int]) -> tuple[_Reply, list[Change]]:
        """Runs a command on it, whatever key that names. Raises CommandError, and then nothing changed."""

    def get(self, path: str) -> bytes | None:
        """The text of the value at a path; None where there is none."""

    def has(self, path: str) -> bool:
        """Whether there is a value at a path."""

    def text(self) -> bytes:
        """The whole text."""

    def diff(self, text: bytes) -> list[tuple[_Steps, bytes | None, bytes | None]]:
        """The deepest values in which a text differs: the steps there, the texts before and after."""

    def fork(self) -> Document:
        """Another one of the same value; neither follows the other."""

class Field:
    """The descriptor of a model's field: hands out what the model holds, bound to its place.

    `makers` says what is made of a value of a type. A value of a type in `kept` that has this place already
    is handed out as it is. `bind` is called for any other, with it, the model and the name; `missing` where
    there is none, with the model or None, its class and the name.
    """

    def __init__(
        self,
        name: str,
        makers: dict[type, Callable[[Any], Any]],
        kept: set[type],
        bind: Callable[[Any, Any, str], Any],
        missing: Callable[[Any, type, str], Any],
    ) -> None: ...
    def __get__(self, model: Any, owner: type) -> Any: ...
    def __set__(self, model: Any, value: Any) -> None: ...

class Argument(TypedDict):
    """An argument of a command, in the order of the command line."""

    name: str
    kind: Literal["key", "path", "json", "integer", "count", "millis", "text", "token", "one-of", "block"]
    token: str | None
    """The literal word that a token is."""
    parts: list[Argument]
    """The choices of a one-of, the arguments of a block."""
    optional: bool
    multiple: bool

class Command(TypedDict):
    """A row of the command table."""

    name: str
    subcommand: str | None
    twin: bool
    synopsis: str
    summary: str
    reply: str
    access: Literal["read", "grow", "write", "inspect", "configure"]
    keys: Literal["none", "first", "from-to", "all", "counted"]
    groups: list[str]
    special: tuple[str, list[str]] | None
    norefresh: bool
    creates: bool
    ifversion: bool
    withversion: bool
    arity: int
    arguments: list[Argument]
    """All of them, the common options included."""

def commands() -> list[Command]:
    """The command table: a row for every name that clients can call."""

def errors() -> list[tuple[str, str, str]]:
    """The prefixes of error replies: each word, what causes the error, and what helps."""

def elements(text: bytes) -> list[bytes]:
    """The texts of a JSON array's elements. Raises ValueError for any other text."""

def packed(words: tuple[bytes | str | int, ...]) -> tuple[bytes, ...]:
    """The words of a command as bytes. Raises UnicodeEncodeError for what UTF-8 cannot hold."""
