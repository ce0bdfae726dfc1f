"""Imported by each program before anything that takes long to load; importing it is all.

1. An interrupt (Ctrl-C) while the rest is loaded ends the program without a trace: nothing was begun. ``console.run``
   takes over.
2. gRPC keeps its own log lines to itself, unless the user asks for them: what goes wrong is said by our errors.
"""

from __future__ import annotations

import os
import signal
import sys

if os.path.basename(sys.argv[0]).startswith("cimfed"):  # not where a test or a script imports a program's parts
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
