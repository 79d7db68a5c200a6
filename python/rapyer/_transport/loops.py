"""What belongs to one event loop of one process, as sockets do."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, Generic, TypeVar
from weakref import WeakSet

__all__ = ["PerLoop", "Shared"]

_T = TypeVar("_T")


class PerLoop(Generic[_T]):
    """One thing for each event loop, made when the loop first asks for it."""

    _everywhere: ClassVar["WeakSet[PerLoop[Any]]"] = WeakSet()
    _inherited: ClassVar[list[object]] = []

    def __init__(self, make: Callable[[], _T]) -> None:
        self._make = make
        self._by_loop: dict[asyncio.AbstractEventLoop, _T] = {}
        self._everywhere.add(self)

    def get(self) -> _T:
        """The running loop's."""
        loop = asyncio.get_running_loop()
        if loop not in self._by_loop:
            for other in list(self._by_loop):
                if other.is_closed():
                    self._by_loop.pop(other, None)
            self._by_loop[loop] = self._make()
        return self._by_loop[loop]

    def pop(self) -> _T | None:
        """The running loop's, which it then has no longer; None where there is none."""
        return self._by_loop.pop(asyncio.get_running_loop(), None)

    @classmethod
    def _leave_to_parent(cls) -> None:
        """Sets aside, in a child process, what it shares with its parent.

        It is kept, for ever: collected or closed here, a connection would say goodbye on the parent's socket
        and take it out of the parent's selector.
        """
        for each in list(cls._everywhere):
            cls._inherited.append(each._by_loop)
            each._by_loop = {}


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
