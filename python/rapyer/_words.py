"""What commands are made of on their way to a transport, which writes every word as bytes."""

from typing import Final, Literal, TypeAlias

from rapyer._native import commands

__all__ = ["Bound", "Command", "Default", "Text", "Word", "described"]

Text: TypeAlias = bytes | str
"""A word that is no number: a key, a path."""

Word: TypeAlias = Text | int
"""One word of a command: its name, or an argument."""

Command: TypeAlias = tuple[Word, ...]
"""A command, its name first."""

Bound: TypeAlias = tuple[Literal["GE", "GT", "LE", "LT", "MULTIPLE", "MINLEN", "MAXLEN"], Word]
"""What a value must meet, as `REQUIRE` says it."""

Default: TypeAlias = tuple[Text, Word]
"""A path, and the value a document that has none there is taken to have, as `DEFAULT` says it."""

_FAMILIES: Final = frozenset(row["name"] for row in commands() if row["subcommand"])


def described(words: tuple[Word, ...]) -> str:
    """What a command is, for an error: its name, its key and where it says one its path."""
    name, *others = (
        word.decode(errors="replace") if isinstance(word, bytes) else str(word) for word in words[:4]
    )
    if name in _FAMILIES:
        name, *others = f"{name} {others[0]}", *others[1:]
    path = next((word for word in others[1:] if word.startswith("$")), None)
    return " ".join(filter(None, (name, others[0] if others else None, path)))
