"""How apps read what is forwarded to them: header names as they fold them, paths as they resolve and decode them.

A request that leads elsewhere under one of these readings than under the one that was judged is a hole.
"""

import re
from urllib.parse import unquote_to_bytes


def as_cgi(name):
    """RFC 3875, 4.1.18, and as WSGI has it (PEP 3333): upper case, and '-' is '_'."""
    return "HTTP_" + name.upper().replace("-", "_")


def as_php(name):
    """PHP's register_variable: '.' and ' ' are '_', too."""
    return "HTTP_" + re.sub(r"[-. ]", "_", name.upper())


def as_old_cgi(name):
    """Apache before 2.4, lighttpd, IIS: whatever is not a letter or a digit is '_'."""
    return "HTTP_" + re.sub(r"[^A-Z0-9]", "_", name.upper())


FOLDS = {"WSGI": as_cgi, "PHP": as_php, "an old CGI": as_old_cgi}


def resolved(path):
    """Without dot segments and empty ones."""
    kept = []
    for segment in path.split("/"):
        if segment == "..":
            kept[-1:] = []
        elif segment not in ("", "."):
            kept.append(segment)
    return "/" + "/".join(kept)


def decoded(path):
    return unquote_to_bytes(path.encode("utf-8", "surrogateescape")).decode("utf-8", "replace")


def without_parameters(path):
    """As servlet containers do: what follows ';' in a segment is none of its name."""
    return re.sub(r";[^/]*", "", path)


PATHS = {
    "as it is": lambda path: path,
    "resolves dot segments": resolved,
    "decodes": decoded,
    "decodes, then resolves": lambda path: resolved(decoded(path)),
    "takes \\ for /": lambda path: resolved(decoded(path).replace("\\", "/")),
    "drops parameters": lambda path: resolved(decoded(without_parameters(path))),
    "ends at NUL": lambda path: resolved(decoded(path).partition("\0")[0]),
    "ends at #": lambda path: resolved(decoded(path.partition("#")[0])),
}


def twice(path):
    """Decodes twice, as an app does that decodes what its server has decoded."""
    return resolved(decoded(decoded(path)).replace("\\", "/"))


def below(path, prefix):
    return path == prefix or path.startswith(prefix.rstrip("/") + "/")


def leads_to(path, prefix, readers=None):
    """Whose reading of the path is at or below the prefix, though as it stands it may not be."""
    return [name for name, read in (readers or PATHS).items() if below(read(path), prefix)]
