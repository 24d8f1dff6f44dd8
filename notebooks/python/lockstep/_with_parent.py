"""Executes a command that ends with its parent, even when that is killed: python _with_parent.py PARENT_PID COMMAND...

A process of its own before the command, because code between fork and exec is not safe in a process with threads. The kernel sends SIGTERM once the
parent's thread has ended; that survives exec. To `lockstep train`, mpirun and srun it means: write a checkpoint and end.
"""

import os
import signal
import sys

parent, command = int(sys.argv[1]), sys.argv[2:]
try:
    import ctypes

    PR_SET_PDEATHSIG = 1  # linux/prctl.h
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
except (ImportError, AttributeError):  # no ctypes, or no Linux: the command runs on alone
    pass
if os.getppid() != parent:  # it was over before the kernel knew
    sys.exit(130)
try:
    os.execvp(command[0], command)
except OSError as e:
    print(f"{command[0]}: {e.strerror}; expected a program that can be executed", file=sys.stderr)
    sys.exit(2)
