"""The app behind the proxy: it keeps every byte that it is sent, and answers whatever it is.

It reads strictly, and notes as `odd` what readers would read in more than one way. What a request asks for is in the
last segment of its path: `ws` accepts a WebSocket and echoes what comes, `events` is an endless stream, `hold` answers
after a second, `status-NNN` answers so, `cached` may be kept by whoever is in between, `ambiguous-N` has a length that readers
read in two ways, `negotiate` asks to authenticate the connection; anything else is 200.
"""

import re
import socket
import threading
import time

from .wire import hang_up

# Of 8 bytes, or of others.
AMBIGUOUS = [
    b"Content-Length: 8\r\nContent-Length: 4\r\n",
    b"Content-Length: 8, 4\r\n",
    b"Content-Length: 8\r\nTransfer-Encoding: identity\r\n",
    b"Content-Length: 8\r\nTransfer-Encoding: chunked, identity\r\n",
    b"Content-Length: +8\r\n",
]
TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


class Seen:
    """One request as it arrived."""

    def __init__(self, connection, head, body, raw, odd, whole=True):
        self.connection, self.head, self.body, self.raw, self.odd = connection, head, body, raw, odd
        # Whether its body came to its end.
        self.whole = whole
        # What second opinions read of it, by their names.
        self.readings = {}
        first, *lines = re.split(rb"\r?\n", head.rstrip(b"\r\n"))
        words = first.decode("latin-1").split(" ")
        self.method, self.target, self.version = (words + ["", "", ""])[:3]
        self.headers = []
        for line in lines:
            name, _, value = line.decode("latin-1").partition(":")
            self.headers.append((name, value.strip(" \t")))

    @property
    def path(self):
        return self.target.partition("?")[0]

    @property
    def query(self):
        return self.target.partition("?")[2]

    def values(self, name):
        """Of a header, whatever its case."""
        return [value for said, value in self.headers if said.lower() == name.lower()]

    def folded(self, fold):
        """Headers as a reader sees them who folds names: `{folded name: [values]}`."""
        found = {}
        for name, value in self.headers:
            found.setdefault(fold(name), []).append(value)
        return found

    def __repr__(self):
        return f"{self.method} {self.target}"


class Heard:
    """All bytes of one connection, and the requests that were read from them."""

    def __init__(self, number):
        self.number, self.raw, self.seen, self.leftover = number, b"", [], b""


class Recorder:
    """Listens until it is closed. In process: `take` hands over what came since the last time."""

    def __init__(self, port=0, host="127.0.0.1"):
        self.socket = socket.create_server((host, port), backlog=512, reuse_port=False)
        self.address = f"{host}:{self.socket.getsockname()[1]}"
        self.lock, self.heard, self.open, self.busy = threading.Lock(), [], set(), 0
        self.number = 0
        self.accepting = threading.Thread(target=self._accept, daemon=True)
        self.accepting.start()

    @classmethod
    def at(cls, address):
        host, _, port = address.rpartition(":")
        return cls(int(port), host)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        with self.lock:
            still_open = list(self.open)
        hang_up(self.socket, self.accepting, still_open)

    def take(self, settle=0.0):
        """The requests since the last call, in order. `settle`: seconds to wait for what may still be on its way."""
        return [seen for heard in self.take_connections(settle) for seen in heard.seen]

    def take_connections(self, settle=0.0):
        """The same by connections: a kept one comes again, with what is new on it."""
        if settle:
            time.sleep(settle)
        with self.lock:
            found, self.heard = self.heard, []
        return sorted(found, key=lambda heard: heard.number)

    # === the server ===

    def _accept(self):
        while True:
            try:
                sock, _ = self.socket.accept()
            except OSError:
                return
            with self.lock:
                self.number += 1
                self.open.add(sock)
                number = self.number
            threading.Thread(target=self._serve, args=(sock, number), daemon=True).start()

    def _part(self, number):
        """Where what comes on this connection is noted now. Under the lock."""
        for heard in self.heard:
            if heard.number == number:
                return heard
        self.heard.append(Heard(number))
        return self.heard[-1]

    def _serve(self, sock, number):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = _Reader(sock)
        try:
            while True:
                seen = self._request(reader, number)
                if not seen or not self._answer(sock, reader, seen):
                    return
        except OSError:
            pass
        finally:
            with self.lock:
                if reader.buffer:
                    heard = self._part(number)
                    heard.leftover = reader.buffer
                    heard.raw += reader.buffer
                self.open.discard(sock)
            sock.close()

    def _request(self, reader, number):
        """The next request, noted; None if there is no whole one."""
        head, odd = reader.head()
        if head is None:
            return None
        body, wire, whole = reader.body(head, odd)
        seen = Seen(number, head, body, head + wire, odd, whole)
        with self.lock:
            heard = self._part(number)
            heard.seen.append(seen)
            heard.raw += seen.raw
        return seen

    def _answer(self, sock, reader, seen):
        """Returns whether the connection goes on."""
        what = seen.path.rpartition("/")[2]
        if what == "ws" and [value.lower() for value in seen.values("upgrade")] == ["websocket"]:
            sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            return self._tunnel(sock, reader, seen)
        if what == "events":
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            while True:
                sock.sendall(b"c\r\ndata: tick\n\n\r\n")
                time.sleep(0.1)
        if what.startswith("ambiguous-"):
            sock.sendall(b"HTTP/1.1 200 OK\r\n" + AMBIGUOUS[int(what[10:])] + b"\r\nthe app\n")
            return True
        if what == "hold":
            time.sleep(1)
        status = int(what[7:10]) if re.fullmatch(r"status-\d{3}", what) else 200
        body = b"" if seen.method == "HEAD" or status == 204 else b"the app\n"
        length = b"" if status == 204 else b"Content-Length: 8\r\n"
        if what == "negotiate":
            length += b"WWW-Authenticate: Negotiate\r\nWWW-Authenticate: NTLM\r\n"
        if what == "cached":
            length += (
                b'Cache-Control: public, max-age=3600\r\nETag: "1"\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n'
            )
        sock.sendall(b"HTTP/1.1 %d OK\r\nContent-Type: text/plain\r\n%s\r\n%s" % (status, length, body))
        wants = ",".join(seen.values("connection")).lower()
        return "close" not in wants and (seen.version == "HTTP/1.1" or "keep-alive" in wants)

    def _tunnel(self, sock, reader, seen):
        """Echoes what comes; it is noted as the body of the request that opened it."""
        while True:
            got, reader.buffer = reader.buffer, b""
            if not got:
                got = sock.recv(65536)
            if not got:
                return False
            with self.lock:
                seen.body += got
                seen.raw += got
            sock.sendall(got)


class _Reader:
    """Requests out of a stream of bytes."""

    def __init__(self, sock):
        self.sock, self.buffer = sock, b""

    def more(self):
        got = self.sock.recv(65536)
        self.buffer += got
        return bool(got)

    def head(self):
        while not (end := re.search(rb"\r?\n\r?\n", self.buffer)):
            if not self.more():
                return None, []
        head, self.buffer = self.buffer[: end.end()], self.buffer[end.end() :]
        return head, oddities(head)

    def line(self):
        while b"\n" not in self.buffer:
            if not self.more():
                return None
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line + b"\n"

    def exactly(self, size):
        while len(self.buffer) < size and self.more():
            pass
        found, self.buffer = self.buffer[:size], self.buffer[size:]
        return found

    def body(self, head, odd):
        """The body, its bytes as they came, and whether it came to its end."""
        codings = re.findall(rb"(?mi)^transfer-encoding[ \t]*:[ \t]*([^\r\n]*)", head)
        lengths = re.findall(rb"(?mi)^content-length[ \t]*:[ \t]*([^\r\n]*)", head)
        if codings and b"chunked" in codings[-1].lower():
            return self.chunks(odd)
        if lengths and lengths[0].strip().isdigit():
            body = self.exactly(int(lengths[0]))
            return body, body, len(body) == int(lengths[0])
        return b"", b"", True

    def chunks(self, odd):
        body, wire = b"", b""
        while True:
            line = self.line()
            if line is None:
                return body, wire, False
            wire += line
            if not re.fullmatch(rb"[0-9A-Fa-f]{1,8}\r\n", line):
                odd.append(f"chunk line {line!r}")
            digits = re.match(rb"[0-9A-Fa-f]+", line)
            if not digits:
                return body, wire, False
            size = int(digits[0], 16)
            if size == 0:
                while (line := self.line()) is not None:
                    wire += line
                    if not line.strip():
                        return body, wire, True
                    odd.append(f"trailer {line!r}")
                return body, wire, False
            chunk = self.exactly(size)
            end = self.exactly(2)
            body, wire = body + chunk, wire + chunk + end
            if end != b"\r\n":
                # An end that is another: two readers. None at all: the sender has gone.
                if len(end) == 2:
                    odd.append("chunk without an end")
                return body, wire, False


def oddities(head):
    """What of a head another reader may read otherwise."""
    odd = []
    if re.search(rb"(?<!\r)\n", head):
        odd.append("a bare LF")
    if re.search(rb"\r(?!\n)", head):
        odd.append("a bare CR")
    if b"\0" in head:
        odd.append("a NUL")
    first, *lines = re.split(rb"\r?\n", head.rstrip(b"\r\n"))
    if not re.fullmatch(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+ [!-~\x80-\xff]+ HTTP/1\.[01]", first):
        odd.append(f"the request line {first!r}")
    names = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if line[:1] in b" \t":
            odd.append("a folded header line")
        elif not colon or not TOKEN.fullmatch(name):
            odd.append(f"the header line {line!r}")
        elif re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", value):
            odd.append(f"a control byte in {name.decode()}")
        names.append(name.strip().lower())
    if names.count(b"host") != 1:
        odd.append(f"{names.count(b'host')} Host headers")
    if names.count(b"content-length") > 1 or names.count(b"transfer-encoding") > 1:
        odd.append("two lengths")
    if b"content-length" in names and b"transfer-encoding" in names:
        odd.append("Content-Length with Transfer-Encoding")
    codings = re.findall(rb"(?mi)^transfer-encoding[ \t]*:[ \t]*([^\r\n]*)", head)
    if any(coding.strip().lower() != b"chunked" for coding in codings):
        odd.append(f"Transfer-Encoding {codings!r}")
    lengths = re.findall(rb"(?mi)^content-length[ \t]*:[ \t]*([^\r\n]*)", head)
    if any(not re.fullmatch(rb"\d{1,15}", length.strip()) for length in lengths):
        odd.append(f"Content-Length {lengths!r}")
    return odd
