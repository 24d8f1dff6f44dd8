"""Collectives under mpirun on 1, 2, 4 and 8 ranks; a killed rank and a failing rank end the job within seconds.

Usage: mpi_comm_test.py PROGRAM [RANKS ...]
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time

SKIPPED = 77


def main(program, *ranks):
    if not shutil.which("mpirun"):
        print("SKIPPED: mpirun is not installed (Debian: openmpi-bin)")
        return SKIPPED

    def command(n, *arguments):
        return ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", str(n), program, *arguments]

    for n in ranks or ("1", "2", "4", "8"):
        begin = time.monotonic()
        done = subprocess.run(command(n), capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, (n, done.returncode, done.stdout[-4000:], done.stderr[-2000:])
        print(f"{n} ranks: passed in {time.monotonic() - begin:.1f} s")

    # One rank is killed.
    job = subprocess.Popen(command(3, "--spin"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    pids = {}
    while len(pids) < 3:
        line = job.stdout.readline()
        assert line, job.communicate()
        if found := re.match(r"rank (\d+) pid (\d+)", line):
            pids[int(found[1])] = int(found[2])
    time.sleep(0.3)
    os.kill(pids[1], signal.SIGKILL)
    check_end(job, "a killed rank", r"rank 1 ")

    # One rank fails by itself; the others wait for it in a collective.
    job = subprocess.Popen(command(3, "--fail=1"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    check_end(job, "a failing rank", "rank 1: the disk is full")
    return 0


def check_end(job, what, expected):
    begin = time.monotonic()
    try:
        out, err = job.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        job.kill()
        raise AssertionError(f"{what} did not end the job")
    seconds = time.monotonic() - begin
    assert job.returncode != 0 and seconds < 20, (what, job.returncode, seconds, err)
    assert re.search(expected, out + err), (what, out, err)
    print(f"{what} ended the job after {seconds:.1f} s")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
