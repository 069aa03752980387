"""Connection between PLC and station over TCP, in real time, with faults: cut, unplugged, late bytes."""

import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from random import Random
from select import select

STEP_S = 0.002
"""Longest wait for bytes before the faults are looked at."""
PAUSE_S = 0.0005
"""Lets another thread cut the cable."""
CONNECT_S = 0.2
LATEST_S = 0.3
"""Longest delay of a bad network."""
HOST = "127.0.0.1"


class TcpRelay:
    """Forwards bytes both ways for one master at a time.

    TCP damages nothing and loses nothing: a cut cable holds all bytes back, and what was under way arrives late when it
    is joined again.
    """

    def __init__(self, listens: int, target: int, random: Random, clock: Callable[[], float]) -> None:
        """listens: port of this relay, 0 for a free one; target: port to which it connects for each master."""
        self._listener = socket.create_server((HOST, listens))
        self.port: int = self._listener.getsockname()[1]
        """Port at which the relay listens."""
        self.target = target
        self._random, self._clock = random, clock
        self._ends: list[socket.socket] = []  # the master's, the server's
        self._under_way: list[deque[tuple[float, bytes]]] = [deque(), deque()]  # to the server, to the master
        self._cut, self._unplugged, self._late = (threading.Event() for _ in range(3))
        self._stop = threading.Event()
        self._step = threading.Lock()  # held while bytes are moved
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self._thread.start()

    def cut(self, on: bool) -> None:
        """Hold all bytes back in both directions, from this call on; the connections stay."""
        with self._step:
            (self._cut.set if on else self._cut.clear)()

    def unplug(self, on: bool) -> None:
        """End the connection, and take no other."""
        (self._unplugged.set if on else self._unplugged.clear)()

    def disturb(self, on: bool) -> None:
        """Deliver bytes late and in pieces."""
        (self._late.set if on else self._late.clear)()

    @property
    def alive(self) -> bool:
        """Whether bytes are forwarded."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Stop, and end the connection."""
        self._stop.set()
        self._thread.join()
        self._drop()
        self._listener.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            if self._unplugged.is_set():
                self._drop()
            with self._step:
                if not self._cut.is_set():
                    self._move()
            self._stop.wait(PAUSE_S)

    def _move(self) -> None:
        readable, _, _ = select([self._listener, *self._ends], [], [], STEP_S)
        if self._listener in readable:
            self._accept()
        try:
            self._forward(readable)
        except OSError:  # one end has gone: the other shall know
            self._drop()

    def _accept(self) -> None:
        with suppress(OSError):
            master, _ = self._listener.accept()
            if self._unplugged.is_set():
                master.close()
                return
            self._drop()
            try:
                server = socket.create_connection((HOST, self.target), timeout=CONNECT_S)
            except OSError:
                master.close()
                raise
            self._ends = [master, server]
            for end in self._ends:
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _forward(self, readable: list[socket.socket]) -> None:
        now = self._clock()
        for direction, end in enumerate(self._ends):
            if end in readable:
                data = end.recv(4096)
                if not data:
                    raise ConnectionError("ended by its peer")
                self._put(direction, data, now)
            while self._under_way[direction] and self._under_way[direction][0][0] <= now:
                self._ends[1 - direction].sendall(self._under_way[direction].popleft()[1])

    def _put(self, direction: int, data: bytes, now: float) -> None:
        """Put bytes under way; those behind others never overtake them."""
        queue = self._under_way[direction]
        middle = self._random.randint(0, len(data)) if self._late.is_set() else len(data)
        for piece in filter(None, (data[:middle], data[middle:])):
            late_s = self._random.uniform(0, LATEST_S) if self._late.is_set() else 0.0
            queue.append((max(now + late_s, queue[-1][0] if queue else 0.0), piece))

    def _drop(self) -> None:
        for end in self._ends:
            end.close()
        self._ends = []
        for queue in self._under_way:
            queue.clear()
