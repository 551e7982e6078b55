"""A client that sends the bytes it is told to, and says what came. No HTTP library: those don't send what is wrong."""

import socket
import time

PATIENCE = 5.0


def as_bytes(text):
    """Bytes as they are; text as UTF-8."""
    return text if isinstance(text, bytes) else text.encode()


def request(method, target, headers=(), body=b"", version="HTTP/1.1"):
    """The bytes of a request. `headers` are lines, `Name: value`, written as they are; nothing is added to them."""
    lines = [b" ".join(map(as_bytes, (method, target, version))), *map(as_bytes, headers)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + as_bytes(body)


def hang_up(listener, thread, open_=()):
    """Ends a server: its `thread`, which accepts, and the connections that are `open_`, whose threads close them.

    To close a socket that a thread waits on wakes nobody, and its number may be another's before it looks again.
    """
    for sock in (listener, *open_):
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
    thread.join()
    listener.close()


class Answer:
    """What came back. Status 0: the connection was closed or reset; -1: nothing within the time."""

    def __init__(self, status, headers=(), body=b"", raw=b""):
        self.status, self.headers, self.body, self.raw = status, list(headers), body, raw

    def values(self, name):
        return [value for said, value in self.headers if said == name.lower()]

    def header(self, name):
        """The one value of a header, or None."""
        return (self.values(name) or [None])[0]

    @property
    def refused(self):
        """It was told no, or nothing at all."""
        return self.status == 0 or self.status >= 400

    def __repr__(self):
        return {0: "closed", -1: "nothing"}.get(self.status) or str(self.status)


class Conn:
    """One connection to the proxy. Nothing raises because the other side has closed it: that is an answer, too."""

    def __init__(self, address, timeout=PATIENCE, tls=None, source=None):
        """`address` is `host:port`; `tls` an ssl.SSLContext and the name to ask for; `source` the client's own address, of
        127.0.0.0/8, so that one machine is many clients."""
        host, _, port = address.rpartition(":")
        here = (source, 0) if source else None
        self.sock = socket.create_connection((host.strip("[]"), int(port)), timeout=timeout, source_address=here)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.sock = tls[0].wrap_socket(self.sock, server_hostname=tls[1])
        self.timeout, self.buffer, self.over = timeout, b"", False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, data):
        """Returns whether it could be sent."""
        try:
            self.sock.settimeout(self.timeout)
            self.sock.sendall(as_bytes(data))
            return True
        except OSError:
            return False

    def finish(self):
        """No more will be sent."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def fill(self, end):
        """Takes what comes until `end`, a time. False if there is nothing more."""
        left = end - time.monotonic()
        if left <= 0 or self.over:
            return False
        try:
            self.sock.settimeout(left)
            got = self.sock.recv(65536)
        except TimeoutError:
            return False
        except OSError:
            got = b""
        self.over = not got
        self.buffer += got
        return bool(got)

    def read(self, method="GET", timeout=None):
        """The next answer, to a request of this method. Those in between (100) are passed over."""
        end = time.monotonic() + (timeout or self.timeout)
        while True:
            answer = self._read(method, end)
            if answer.status not in range(100, 200) or answer.status == 101:
                return answer

    def _read(self, method, end):
        while b"\r\n\r\n" not in self.buffer:
            if not self.fill(end):
                # An old server may answer HTTP/0.9, or without a whole head.
                return Answer(0 if self.over else -1, raw=self.buffer)
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        words = first.split(b" ")
        if len(words) < 2 or not words[1].isdigit():
            return Answer(0, raw=head)
        headers = []
        for line in lines:
            name, _, value = line.partition(b":")
            headers.append((name.decode("latin-1").strip().lower(), value.decode("latin-1").strip()))
        answer = Answer(int(words[1]), headers, raw=head + b"\r\n\r\n")
        if method == "HEAD" or answer.status in (101, 204, 304) or 100 <= answer.status < 200:
            return answer
        answer.body = self._body(answer, end)
        answer.raw += answer.body
        return answer

    def _body(self, answer, end):
        if "chunked" in (answer.header("transfer-encoding") or "").lower():
            body = b""
            while True:
                line = self._until(b"\r\n", end)
                size = int(line.split(b";")[0].strip() or b"0", 16) if line is not None else 0
                if not size:
                    # Trailers, up to the empty line.
                    while self._until(b"\r\n", end):
                        pass
                    return body
                body += self._exactly(size, end)
                self._exactly(2, end)
        length = answer.header("content-length")
        if length is not None and length.isdigit():
            return self._exactly(int(length), end)
        while self.fill(end):
            pass
        body, self.buffer = self.buffer, b""
        return body

    def _until(self, mark, end):
        while mark not in self.buffer:
            if not self.fill(end):
                return None
        found, _, self.buffer = self.buffer.partition(mark)
        return found

    def _exactly(self, size, end):
        while len(self.buffer) < size and self.fill(end):
            pass
        found, self.buffer = self.buffer[:size], self.buffer[size:]
        return found

    def rest(self, timeout=0.3):
        """All that comes within the time, as it is."""
        end = time.monotonic() + timeout
        while self.fill(end):
            pass
        found, self.buffer = self.buffer, b""
        return found

    def closes(self, timeout=PATIENCE):
        """Whether the other side closes it within the time."""
        end = time.monotonic() + timeout
        while self.fill(end):
            pass
        return self.over


def exchange(address, data, method="GET", timeout=PATIENCE, finish=False, source=None):
    """One request on a connection of its own, and its answer."""
    try:
        with Conn(address, timeout, source=source) as conn:
            conn.send(data)
            if finish:
                conn.finish()
            return conn.read(method)
    except ConnectionError:
        return Answer(0)
