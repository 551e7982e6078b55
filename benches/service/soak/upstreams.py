"""What stands behind the gate: nginx for what is fast, an app of our own for WebSockets, and one that can be sick."""

import asyncio
import multiprocessing
import socket
import struct
import threading

from aiohttp import web

from .machine import Process, free_port, until

LARGE = 1 << 20
NGINX = """
daemon off; master_process off; pid nginx.pid; error_log error.log warn; worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    keepalive_timeout 1h;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        root {directory};
        location / {{ default_type text/plain; return 200 "this is behind the gate\\n"; }}
        location /files/ {{ }}
    }}
}}
"""


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Nginx:
    def __init__(self, directory):
        self.port = free_port()
        directory.mkdir()
        directory.chmod(0o755)
        (directory / "files").mkdir()
        (directory / "files" / "large").write_bytes(b"x" * LARGE)
        conf = directory / "nginx.conf"
        conf.write_text(NGINX.format(port=self.port, directory=directory))
        with open(directory / "log", "wb") as log:
            argv = ["nginx", "-p", str(directory), "-c", str(conf), "-e", str(directory / "error.log")]
            self.process = Process(argv, stdout=log, stderr=log)
        until("nginx listens", lambda: self.process.ended() is not None or listens(self.port))

    def end(self):
        self.process.end()


def echo(port):
    """An app that says what it hears, over WebSockets."""

    async def chat(request):
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        async for message in ws:
            await ws.send_str(message.data)
        return ws

    app = web.Application()
    app.router.add_get("/ws", chat)
    web.run_app(app, host="127.0.0.1", port=port, print=None, handle_signals=True, access_log=None)


class Echo:
    def __init__(self):
        self.port = free_port()
        self.process = multiprocessing.get_context("spawn").Process(target=echo, args=(self.port,), daemon=True)
        self.process.start()
        until("the app listens", lambda: listens(self.port))

    def end(self):
        self.process.kill()
        self.process.join()


class Sick:
    """An app whose health can be chosen: well, dead, hung, slow, or breaking off in the middle of a body."""

    BODY = 256 << 10

    def __init__(self):
        self.port, self.health, self.open = free_port(), "well", {}
        self.loop, self.server = asyncio.new_event_loop(), None
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self._await(self._listen())

    def _await(self, what):
        return asyncio.run_coroutine_threadsafe(what, self.loop).result(30)

    def become(self, health):
        """From the next request on; dead is at once, and hurts those who are connected."""
        was, self.health = self.health, health
        if health == "dead":
            self._await(self._die())
        elif was == "dead":
            self._await(self._listen())
        elif was == "hung":
            # Those that hang would do so for ever.
            self._await(self._reset_all())

    async def _listen(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=1024)

    async def _die(self):
        self.server.close()
        await self._reset_all()

    async def _reset_all(self):
        for writer, serving in list(self.open.items()):
            reset(writer)
            serving.cancel()
        await asyncio.gather(*self.open.values(), return_exceptions=True)

    async def _serve(self, reader, writer):
        self.open[writer] = asyncio.current_task()
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await self._answer(writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            del self.open[writer]
            writer.close()

    async def _answer(self, writer):
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {self.BODY}\r\n\r\n".encode()
        if self.health == "hung":
            await asyncio.sleep(3600)
        elif self.health == "slow":
            await asyncio.sleep(0.2)
            writer.write(head)
            for _ in range(4):
                await asyncio.sleep(0.1)
                writer.write(b"x" * (self.BODY // 4))
                await writer.drain()
        elif self.health == "breaking":
            writer.write(head + b"x" * (self.BODY // 2))
            await writer.drain()
            reset(writer)
        else:
            writer.write(head + b"x" * self.BODY)
            await writer.drain()

    def end(self):
        if self.health != "dead":
            self._await(self._die())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()


def reset(writer):
    """Ends a connection with RST, as a process does that is killed with bytes unread."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
