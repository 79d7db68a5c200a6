"""What commands are made of on their way to a transport, which writes every word as bytes."""

from typing import TypeAlias

__all__ = ["Command", "Text", "Word"]

Text: TypeAlias = bytes | str
"""A word that is no number: a key, a path."""

Word: TypeAlias = Text | int
"""One word of a command: its name, or an argument."""

Command: TypeAlias = tuple[Word, ...]
"""A command, its name first."""
