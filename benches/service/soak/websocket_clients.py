"""WebSockets that talk all the time. Who is told that the gate goes away (1001) comes back at once, and has to get in."""

import asyncio
import ssl

import aiohttp

from .site import KEY

CLIENTS, PAUSE = 16, 0.02


class Clients:
    """All of them, and what they have counted."""

    def __init__(self, port, ca, token, done):
        self.url, self.done = f"https://127.0.0.1:{port}/ws", done
        self.context = ssl.create_default_context(cafile=ca)
        self.headers = {"X-API-Key": KEY, "Authorization": f"Bearer {token}"}
        self.failed = self.refused = self.broken = self.timeouts = self.opened = self.told = 0
        self.why = []
        self.stopping = False

    async def run(self, stop):
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        async with aiohttp.ClientSession(connector=connector) as session:
            tasks = [asyncio.create_task(self.client(session)) for _ in range(CLIENTS)]
            await stop
            self.stopping = True
            await asyncio.gather(*tasks)

    async def client(self, session):
        while not self.stopping:
            try:
                async with asyncio.timeout(60):
                    socket = await session.ws_connect(self.url, headers=self.headers, ssl=self.context, autoping=True)
            except aiohttp.WSServerHandshakeError as error:
                self.lose("failed", f"no WebSocket: {error.status}")
            except TimeoutError:
                self.lose("timeouts", "no WebSocket in time")
            except (OSError, aiohttp.ClientError) as error:
                refused = isinstance(getattr(error, "os_error", error), ConnectionRefusedError)
                self.lose("refused" if refused else "broken", f"no WebSocket: {error!r}")
            else:
                self.opened += 1
                await self.talk(socket)
                continue
            await asyncio.sleep(0.05)

    async def talk(self, socket):
        number = 0
        while True:
            number += 1
            try:
                await socket.send_str(str(number))
            except (OSError, aiohttp.ClientError):
                # It is going away; what it has said of it is read below.
                pass
            try:
                message = await socket.receive(timeout=60)
            except TimeoutError:
                self.lose("timeouts", "no echo")
                break
            if message.type is aiohttp.WSMsgType.TEXT and message.data == str(number):
                self.done.value += 1
            elif message.type is aiohttp.WSMsgType.CLOSE and message.data == 1001:
                self.told += 1
                break
            else:
                when = "right after 101" if number == 1 else f"at message {number}"
                self.lose("broken", f"{message.type.name} {message.data!r} {when}")
                break
            if self.stopping:
                break
            await asyncio.sleep(PAUSE)
        await socket.close()

    def lose(self, how, why):
        setattr(self, how, getattr(self, how) + 1)
        if len(self.why) < 5:
            self.why.append(why)

    def counts(self):
        notes = [f"{self.opened} opened", f"{self.told} told 1001, and back at once"]
        return {
            "name": "WebSockets (own clients; messages echoed)",
            "done": self.done.value,
            "failed": self.failed,
            "refused": self.refused,
            "broken": self.broken,
            "timeouts": self.timeouts,
            "notes": notes + self.why,
        }


def run(line, done, port, ca, token):
    """In a process of their own, until there is a word on the line."""

    async def main():
        clients = Clients(port, ca, token, done)
        stop = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(line.fileno(), lambda: stop.done() or stop.set_result(None))
        await clients.run(stop)
        asyncio.get_running_loop().remove_reader(line.fileno())
        line.recv()
        line.send([clients.counts()])

    asyncio.run(main())
