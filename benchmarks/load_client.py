"""An open-loop HTTP client: requests go out on schedule whether or not earlier ones were answered.

Latency counts from the moment a request was due, so a server that stalls cannot hide it by slowing the client down.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

MAX_CONNECTIONS = 400


@dataclass(kw_only=True)
class Measured:
    """The answers to requests at a constant rate."""

    rate: float
    seconds: float
    latencies_ms: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    late_ms: float = 0.0  # the client's own worst delay in sending

    def quantile(self, share: float) -> float:
        """The latency below which this share of requests stayed, in ms; infinite where some never ended."""
        ordered = sorted(self.latencies_ms)
        wanted = int(self.rate * self.seconds)
        place = min(wanted - 1, int(share * wanted))
        return ordered[place] if place < len(ordered) else float("inf")

    def summary(self) -> dict[str, object]:
        """For a table."""
        return {
            "requests": sum(self.statuses.values()),
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            **{f"p{100 * share:g}_ms": round(self.quantile(share), 1) for share in (0.5, 0.95, 0.99, 1.0)},
            "client_late_ms": round(self.late_ms, 1),
        }


class Client:
    """Kept-open connections to one server, one request at a time on each."""

    def __init__(self, port: int, key: str) -> None:
        self._port = port
        self._head = f"Host: 127.0.0.1:{port}\r\nAuthorization: Bearer {key}\r\n"
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._open = 0

    async def request(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """One request; status and body."""
        line = self._kept() or await self._connect()
        head = f"{method} {path} HTTP/1.1\r\n{self._head}Content-Length: {len(body)}\r\n"
        kind = "Content-Type: application/json\r\n" if body else ""
        try:
            return await self._exchange(line, (head + kind + "\r\n").encode() + body)
        except BaseException:
            line[1].close()
            self._open -= 1
            raise

    async def _exchange(
        self, line: tuple[asyncio.StreamReader, asyncio.StreamWriter], sent: bytes
    ) -> tuple[int, bytes]:
        reader, writer = line
        writer.write(sent)
        answer = await reader.readuntil(b"\r\n\r\n")
        status = int(answer[9:12])
        lowered = answer.lower()
        size = (
            int(lowered.split(b"content-length:")[1].split(b"\r\n")[0])
            if b"content-length:" in lowered
            else 0
        )
        content = await reader.readexactly(size)
        if b"connection: close" in lowered:
            writer.close()
            self._open -= 1
        else:
            self._idle.append(line)
        return status, content

    def _kept(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """A connection that was used before and that the server has not closed since."""
        while self._idle:
            reader, writer = line = self._idle.pop()
            if not reader.at_eof() and not writer.is_closing():
                return line
            writer.close()
            self._open -= 1
        return None

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._open >= MAX_CONNECTIONS:
            raise ConnectionError("the server holds every connection")
        self._open += 1
        return await asyncio.open_connection("127.0.0.1", self._port, limit=2**22)


async def constant_rate(
    client: Client,
    method: str,
    path: str,
    body: bytes,
    *,
    rate: float,
    seconds: float,
    timeout_s: float = 10.0,
) -> Measured:
    """Send `rate` requests a second for so long."""
    found = Measured(rate=rate, seconds=seconds)
    begun = time.perf_counter() + 0.2

    async def one(due: float) -> None:
        found.late_ms = max(found.late_ms, 1000 * (time.perf_counter() - due))
        try:
            async with asyncio.timeout(timeout_s):
                status, _ = await client.request(method, path, body)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            found.statuses[0] += 1
            return
        found.statuses[status] += 1
        found.latencies_ms.append(1000 * (time.perf_counter() - due))

    tasks = []
    for number in range(int(rate * seconds)):
        due = begun + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(one(due)))
    await asyncio.gather(*tasks)
    return found
