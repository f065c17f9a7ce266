"""A link with a delay and a limited rate, as a proxy between two ports of this machine."""

import asyncio
import sys
import time


class Pipe:
    """One direction of the link, which all connections share."""

    def __init__(self, rate: float):
        self.rate, self.free = rate, 0.0

    def leaves(self, size: int) -> float:
        """When the last of these bytes has left, if they are sent now."""
        self.free = max(self.free, time.monotonic()) + size / self.rate
        return self.free


async def carry(reader, writer, pipe: Pipe, delay: float):
    # Half a bandwidth-delay product and more is on the way at a time, as in a tuned TCP.
    queue: asyncio.Queue = asyncio.Queue(maxsize=256)

    async def deliver():
        while (item := await queue.get()) is not None:
            due, data = item
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            writer.write(data)
            await writer.drain()
        writer.close()

    delivering = asyncio.create_task(deliver())
    try:
        while data := await reader.read(16384):
            leaves = pipe.leaves(len(data))
            await queue.put((leaves + delay, data))
            # What the link cannot take stays with the sender.
            await asyncio.sleep(max(0.0, leaves - time.monotonic() - 0.01))
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    await queue.put(None)
    try:
        await delivering
    except ConnectionError:
        pass


async def main(listen: int, target: int, round_trip: float, rate: float):
    up, down = Pipe(rate), Pipe(rate)

    async def connection(reader, writer):
        # The handshake.
        await asyncio.sleep(round_trip)
        there, away = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(carry(reader, away, up, round_trip / 2), carry(there, writer, down, round_trip / 2))

    server = await asyncio.start_server(connection, "127.0.0.1", listen)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    listen, target, milliseconds, megabits = sys.argv[1:]
    asyncio.run(main(int(listen), int(target), float(milliseconds) / 1000, float(megabits) * 125_000))
