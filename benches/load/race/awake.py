"""Cores that never sleep.

To wake a core that has gone to sleep costs whoever does it, and in a virtual machine that is more than everything that a
proxy does for a request: a call of the hypervisor. A process that wants nothing but the time that nobody else wants keeps
a core awake, so that what is left is the proxies' own.
"""

import os
import sys

from soak.machine import Process, end_all

SPIN = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
while os.getppid() == int(sys.argv[2]):
    for _ in range(1000000): pass
"""


class Awake:
    """While this is entered."""

    def __enter__(self):
        cores, parent = sorted(os.sched_getaffinity(0)), str(os.getpid())
        self.spinning = [Process([sys.executable, "-c", SPIN, str(core), parent]) for core in cores]
        return self

    def __exit__(self, *_):
        end_all(*self.spinning)
