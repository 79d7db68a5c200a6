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

    def limits(self) -> dict[str, int]:
        """The limits of this engine, by the names that `set_limits` has for them."""
        return {name.replace("-", "_"): value for name, value in self.native.limits().items()}

    def set_limits(
        self,
        *,
        max_document: int | None = None,
        max_depth: int | None = None,
        max_batch: int | None = None,
        max_reply: int | None = None,
    ) -> None:
        """Sets the limits that a server has as `rapyer.max-document` and so on; those left out stay.

        Args:
            max_document: The bytes of one document's JSON text, 1024 to 536870912.
            max_depth: How many arrays and objects may lie in one another, 1 to 128.
            max_batch: By how many bytes one batch may make documents grow, with its replies; at least 1024.
            max_reply: The bytes of one reply, at least 1024.

        Raises:
            ValueError: A limit is out of its range. Those before it are set.
        """
        limits = {
            "max-document": max_document,
            "max-depth": max_depth,
            "max-batch": max_batch,
            "max-reply": max_reply,
        }
        for name, value in limits.items():
            if value is not None:
                self.native.set_limit(name, value)

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
