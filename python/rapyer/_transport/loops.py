"""What belongs to one event loop of one process, as sockets do."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from threading import Lock
from typing import Any, ClassVar, Generic, Protocol, TypeVar

__all__ = ["PerLoop", "Shared"]

_T = TypeVar("_T")


class _Closes(Protocol):
    async def close(self) -> None: ...


_C = TypeVar("_C", bound=_Closes)


class PerLoop(Generic[_C]):
    """One thing for each event loop, made when the loop first asks for it."""

    # Held here, for what is open has to be closed also when nobody else remembers it.
    _in_use: ClassVar["set[PerLoop[Any]]"] = set()
    _inherited: ClassVar[list[object]] = []
    _changing: ClassVar = Lock()

    def __init__(self, make: Callable[[], _C]) -> None:
        self._make = make
        self._by_loop: dict[asyncio.AbstractEventLoop, _C] = {}

    def get(self) -> _C:
        """The running loop's."""
        loop = asyncio.get_running_loop()
        its_own = self._by_loop.get(loop)
        if its_own is None:
            its_own = self._make()
            with self._changing:
                self._forget_closed_loops()
                self._by_loop[loop] = its_own
                self._in_use.add(self)
        return its_own

    @classmethod
    async def close_all(cls) -> None:
        """Closes what the running loop has."""
        loop = asyncio.get_running_loop()
        with cls._changing:
            closing = [each._by_loop.pop(loop) for each in cls._in_use if loop in each._by_loop]
            cls._forget_closed_loops()
        for its_own in closing:
            await its_own.close()

    @classmethod
    def _forget_closed_loops(cls) -> None:
        for each in list(cls._in_use):
            for loop in [loop for loop in each._by_loop if loop.is_closed()]:
                del each._by_loop[loop]
            if not each._by_loop:
                cls._in_use.remove(each)

    @classmethod
    def _leave_to_parent(cls) -> None:
        """Sets aside, in a child process, what it shares with its parent.

        It is kept, for ever: collected or closed here, a connection would say goodbye on the parent's socket
        and take it out of the parent's selector.
        """
        for each in cls._in_use:
            cls._inherited.append(each._by_loop)
            each._by_loop = {}
        cls._in_use.clear()
        # Whichever thread held it stayed in the parent.
        cls._changing = Lock()


os.register_at_fork(after_in_child=PerLoop._leave_to_parent)


class Shared(Generic[_T]):
    """Something that takes a while to get, got once for all the tasks that ask for it meanwhile."""

    def __init__(self, get: Callable[[], Coroutine[Any, Any, _T]]) -> None:
        self._get = get
        self._getting: asyncio.Task[_T] | None = None

    async def get(self) -> _T:
        if self._getting is None:
            self._getting = asyncio.create_task(self._get())
            self._getting.add_done_callback(self._done)
        # Shielded: a task that gives up waiting must not take it from the others.
        return await asyncio.shield(self._getting)

    async def settle(self) -> None:
        """Waits until nothing is being got."""
        if self._getting is not None:
            await asyncio.wait([self._getting])

    def _done(self, getting: "asyncio.Task[_T]") -> None:
        self._getting = None
        # When everybody gave up waiting, nobody is left to hear of a failure.
        if not getting.cancelled():
            getting.exception()
