"""A TCP proxy between client and server, to cut the line on purpose: the only honest test of a reconnect."""

import socket
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Self


class CutLine:
    """Passes bytes on to a port of this machine until it is told to cut every connection."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        self._is_down = False
        self._passes = threading.Event()
        self._passes.set()
        self._bytes_per_s: int | None = None
        self.port: int = self._listener.getsockname()[1]
        self.cuts = 0
        """Connections that were cut."""

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        self.cut()
        self._passes.set()

    def go_down(self) -> None:
        """Cut every connection, and every new one at once, until `come_up`."""
        self._is_down = True
        self.cut()

    def go_silent(self) -> None:
        """Pass nothing on, and say nothing, until `come_up`: as a network that swallows packets."""
        self._passes.clear()

    def slow_down(self, bytes_per_s: int) -> None:
        """Pass on no more than so much in each direction of each connection."""
        self._bytes_per_s = bytes_per_s

    def come_up(self) -> None:
        """Pass on again, what came meanwhile too."""
        self._is_down = False
        self._passes.set()

    def cut(self) -> None:
        """Break every connection now, in both directions, without a goodbye."""
        with self._guard:
            ends, self._open = self._open, set()
        self.cuts += len(ends) // 2
        for end in ends:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")  # a reset
            with suppress(OSError):  # the other side was quicker
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = None if self._is_down else socket.create_connection(("127.0.0.1", self._target_port))
            except OSError:  # nobody is there now
                far = None
            if far is None:
                near.close()
                continue
            with self._guard:
                self._open |= {near, far}
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65_536):
                self._passes.wait()
                if self._bytes_per_s is not None:
                    time.sleep(len(data) / self._bytes_per_s)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return
