#!/usr/bin/env python3
"""What simulate() of the Python package adds over the C++ call that it makes: both in turn, in the same minutes, files read anew by each.

Usage: PYTHONPATH=build/python python3 tests/bench/python_call.py build/bench/predict_bench [--calls 40]

The C++ call is read_inputs() and predict_report(), as `lockstep simulate --no-curve --no-interval` makes it. Both take the ABCI run, as it is and with
simulation.fold = "approx". The two are started one after the other, in changing order, so that other load on the machine strikes both; "added" is the median of
the differences of pairs, with its quartiles, by the clock on the wall and by the processor time of the process. On a
machine with other load the best call of each says more than the median. Asked: under 5 ms.
"""

import argparse
import pathlib
import statistics
import subprocess
import time

import lockstep as ls

SOURCE = pathlib.Path(__file__).resolve().parents[2]
RUN = SOURCE / "experiments" / "fujitsu_abci_2048" / "run.toml"


class Cpp:
    """predict_bench, a line for a line."""

    def __init__(self, program, sets):
        self.child = subprocess.Popen([program, str(RUN), str(ls.data_directory()), *sets], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def call(self):
        self.child.stdin.write("\n")
        self.child.stdin.flush()
        return tuple(float(word) for word in self.child.stdout.readline().split())


def python(run):
    wall, cpu = time.perf_counter(), time.process_time()
    found = ls.simulate(run)
    return (time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3, found.step_ms


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="bench/predict_bench of a build with -DLOCKSTEP_BENCH=ON")
    parser.add_argument("--calls", type=int, default=40)
    parser.add_argument("--folds", default="none,approx", help="values of simulation.fold")
    options = parser.parse_args()
    print(f"{'simulation.fold':<17}{'':<11}{'C++, ms':>10}{'Python, ms':>12}{'added, ms':>11}{'quartiles':>18}   medians of {options.calls} calls each")
    for fold in options.folds.split(","):
        run = ls.load(RUN, {"simulation.fold": fold})
        cpp = Cpp(options.program, run.sets)
        pairs = []
        for i in range(options.calls + 1):
            if i % 2:
                p, c = python(run), cpp.call()
            else:
                c, p = cpp.call(), python(run)
            if abs(p[2] - c[2]) > 1e-9 * c[2]:
                raise SystemExit(f"the two predict different steps: {p[2]} and {c[2]} ms")
            if i > 0:  # the first one loads libraries and files
                pairs.append((p, c))
        cpp.child.stdin.close()
        cpp.child.wait()
        theirs, ours = (min(both[side][0] for both in pairs) for side in (1, 0))
        print(f"{fold:<17}{'wall, best':<11}{theirs:>10.2f}{ours:>12.2f}{ours - theirs:>11.2f}", flush=True)
        for clock, name in enumerate(("wall", "processor")):
            low, added, high = statistics.quantiles([p[clock] - c[clock] for p, c in pairs], n=4)
            ours, theirs = (statistics.median(both[side][clock] for both in pairs) for side in (0, 1))
            print(f"{fold:<17}{name:<11}{theirs:>10.2f}{ours:>12.2f}{added:>11.2f}{f'{low:.2f} to {high:.2f}':>18}", flush=True)


if __name__ == "__main__":
    main()
