"""A store that can't be written to: the disk is full, or has become read-only."""

import os
import json
from contextlib import contextmanager

from .load import Wrk, check, table
from .machine import Failed, end_all, output, until
from .site import AUTH, PASSWORD, Site
from .upstreams import Nginx

MEGABYTES = 16


def disk(lab, rounds):
    """Logins are refused, what was verified flows on, and all is well again when there is room."""
    if os.geteuid() != 0:
        return ["Left out: only root can mount a file system."], []
    directory = lab.directory / "disk"
    directory.mkdir()
    nginx = Nginx(directory / "nginx")
    rows, faults, counts = ["| | log in | register | log out | readyz | a verified request |", "|---|---|---|---|--:|--:|"], [], []
    wrk = site = None

    def look(what, healthy):
        expected = "200" if healthy else "503 store_unavailable"
        seen = [log_in(site), register(site), log_out(site, spare.pop() if spare else token_of(site))]
        ready, verified = site.ask_admin("/readyz")[0], site.ask("GET", "/app/x", {"Authorization": f"Bearer {token}"})[0]
        row = [what, *seen, str(ready), str(verified)]
        rows.append("| " + " | ".join(row) + " |")
        if set(seen) != {expected} or verified != 200 or ready != 200:
            faults.append(f"{what}: {row[1:]}")

    with mounted(directory) as mount:
        try:
            route = f'access = "user"\nupstream = ["http://127.0.0.1:{nginx.port}"]'
            site = Site(lab.binary, directory, {"/app": route}, tls=False, store=mount / "tollgate.db")
            site.start()
            token, spare = site.user("alice"), []
            wrk = Wrk(site, token, connections=4, pause=5, name="HTTP/1.1 with a verified token, the whole time")
            look("well", True)
            for number in range(rounds):
                spare.append(token_of(site))
                fill(mount)
                look(f"full disk, round {number + 1}", False)
                (mount / "filling").unlink()
                look("room again", True)
            spare.append(token_of(site))
            # What the kernel does itself after an error of the disk (errors=remount-ro).
            output(["mount", "-o", "remount,abort", str(mount)])
            look("read-only", False)
            counts = wrk.stop()
            site.end()
            # Such a file system stays read-only until it is checked and mounted anew.
            unmount(mount)
            mount_again(directory, mount)
            site.start()
            look("checked, mounted anew, and started again", True)
        finally:
            end_all(wrk, site, nginx)
    said = f"The database is on an ext4 file system of {MEGABYTES} MiB of its own. Meanwhile, requests with a token that was verified go on."
    if "panicked" in site.log():
        faults.append("the log has a panic")
    return [said, "\n".join(rows), table(counts)], faults + check(counts)


@contextmanager
def mounted(directory):
    image, mount = directory / "image", directory / "store"
    with open(image, "wb") as file:
        file.truncate(MEGABYTES << 20)
    output(["mkfs.ext4", "-q", "-m", "0", str(image)])
    mount.mkdir()
    mount_again(directory, mount)
    try:
        yield mount
    finally:
        if os.path.ismount(mount):
            unmount(mount)


def mount_again(directory, mount):
    output(["e2fsck", "-p", str(directory / "image")], accepted=(0, 1))
    output(["mount", "-o", "loop", str(directory / "image"), str(mount)])


def unmount(mount):
    def gone():
        try:
            output(["umount", str(mount)])
            return True
        except Failed:
            return False

    until(f"{mount} is unmounted", gone)


def fill(mount):
    """To the last byte: large pieces first, then small ones."""
    with open(mount / "filling", "wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(b"x" * size)
                    os.fsync(file.fileno())
            except OSError:
                pass


def log_in(site):
    return told(*site.log_in())


def register(site):
    register.count = getattr(register, "count", 0) + 1
    body = json.dumps({"username": f"user{register.count}", "password": PASSWORD})
    status, _, answer = site.ask("POST", AUTH, {"Content-Type": "application/json"}, body)
    return told(status, json.loads(answer).get("reason", ""))


def log_out(site, token):
    status, _, answer = site.ask("POST", f"{AUTH}?logout=true", {"Authorization": f"Bearer {token}"})
    return told(status, json.loads(answer or b"{}").get("reason", ""))


def told(status, reason):
    return f"{status} {reason}".strip()


def token_of(site):
    """A token of another session of the user's."""
    body = json.dumps({"username": "alice", "password": PASSWORD})
    status, headers, _ = site.ask("POST", f"{AUTH}?login=true&noATCookie=true", {"Content-Type": "application/json"}, body)
    if status != 200:
        raise Failed(f"no login: {status}")
    return headers["Authorization"].removeprefix("Bearer ")
