"""Executes a command that ends with its parent, even when that is killed: python _with_parent.py COMMAND..., its standard input a pipe that the parent holds.

The pipe ends when the parent does, however it ends. The command then gets one SIGTERM, which to `lockstep train`, mpirun and srun means: write a checkpoint and
end; a second one would end them at once. (The kernel's own death signal comes once for every thread that the parent had.) SIGINT and SIGTERM are passed on; the exit code
is that of the command, 128 + n if signal n ended it, 2 if it cannot be executed.
"""

import os
import signal
import subprocess
import sys
import threading

child = None
early = []


def pass_on(number, _frame):
    if child is None:
        early.append(number)
    else:
        child.send_signal(number)


def watch_parent():
    while os.read(0, 4096):
        pass
    child.terminate()


for each in (signal.SIGINT, signal.SIGTERM):
    signal.signal(each, pass_on)
try:
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
except OSError as e:
    print(f"{sys.argv[1]}: {e.strerror}; expected a program that can be executed", file=sys.stderr)
    sys.exit(2)
for each in early:
    child.send_signal(each)
threading.Thread(target=watch_parent, daemon=True).start()
code = child.wait()
os._exit(code if code >= 0 else 128 - code)
