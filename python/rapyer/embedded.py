"""The engine in this process, for development and tests: no server, and a clock that tests move.

await init_rapyer(redis="embedded://tests", ttl=1800)
session = await Session(user_id="ada").asave()
embedded.engine("tests").advance(seconds=1801)
assert await Session.afind_one(session.key) is None
"""

from threading import Lock
from typing import Final

from rapyer._native import Engine

__all__ = ["EmbeddedEngine", "engine"]


class EmbeddedEngine:
    """One engine, by its name. It lives, with its documents, as long as the process."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.native: Final = Engine()

    def advance(self, seconds: float) -> None:
        """Moves this engine's clock on; what expires by then is gone."""
        self.native.advance(round(seconds * 1000))

    def now(self) -> float:
        """What its clock shows, in seconds since the epoch."""
        return self.native.now() / 1000

    def __repr__(self) -> str:
        return f"<embedded engine {self.name!r}>"


_engines: dict[str, EmbeddedEngine] = {}
_lock = Lock()


def engine(name: str = "") -> EmbeddedEngine:
    """The engine behind `embedded://NAME`; made when its name is first used."""
    with _lock:
        if name not in _engines:
            _engines[name] = EmbeddedEngine(name)
        return _engines[name]
