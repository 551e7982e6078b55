"""Where requests begin and end: mutations of HTTP/1 and of HTTP/2, as checks of the suite."""

from . import early, floods, h1, h2
