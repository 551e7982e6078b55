"""The checks, a module for each shape of bug. To import one is to register its checks."""

from . import config, framing, headers, logins, paths, sites, tokens  # noqa: F401
