#!/usr/bin/env python3
"""A training step against PyTorch and against the bare primitives that it is made of, in the same minutes on the same machine.

Usage: train_bench.py PROGRAM [--threads 2] [--rounds 3]      PROGRAM: bench/train_bench of a build with -DLOCKSTEP_BENCH=ON

Per network, rounds of ours (fp32, direct and chosen convolutions) and PyTorch's (NCHW and NHWC) alternate, and the best step of each counts: other load on the machine slows
single rounds, not all. The share of bare primitives is the time that oneDNN itself reports for convolutions, batch norms, pooling and inner products (each at its
best over the steps) over the best whole step: what remains goes to additions, copies between layouts, the loss and the update.
"""

import argparse
import json
import os
import subprocess
import sys

import pytorch_step

BARE = {"convolution", "batch_normalization", "batch_normalization_v2", "pooling", "pooling_v2", "inner_product"}


def bench(program, name, threads, extra_environment=None):
    """(seconds of the mean step, all of stdout) of one benchmark of train_bench."""
    command = [program, f"--benchmark_filter=/{name}/[0-9]+/{threads}/", "--benchmark_out_format=json", "--benchmark_out=/dev/stderr"]
    done = subprocess.run(command, env={**os.environ, **(extra_environment or {})}, capture_output=True, text=True, check=True)
    rows = json.loads(done.stderr[done.stderr.index("{"):])["benchmarks"]
    if not rows:
        sys.exit(f"{program} has no benchmark {name} with {threads} threads")
    return rows[0]["best_ms"] / 1e3, done.stdout


def bare_seconds(verbose):
    """Sum over the primitives of one step of the best time of each, from what ONEDNN_VERBOSE=1 printed."""
    calls = [line.split(",") for line in verbose.splitlines() if line.startswith("onednn_verbose,exec")]
    calls = [c for c in calls if c[3] in BARE]
    keys = [",".join(c[3:-1]) for c in calls]
    per_step = keys.index(keys[0], 1)  # the first convolution, on the images, has a shape of its own
    best = [float("inf")] * per_step
    for i, call in enumerate(calls):
        if keys[i] != keys[i % per_step]:
            sys.exit(f"step {i // per_step} ran other primitives than the first")
        best[i % per_step] = min(best[i % per_step], float(call[-1]))
    return sum(best) / 1e3


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    pytorch_step.torch.set_num_threads(arguments.threads)
    for model, images in (("resnet20", 128), ("resnet50", 16)):
        best = {}

        def keep(what, images_per_second):
            best[what] = max(best.get(what, 0), images_per_second)

        bare = float("inf")
        for _ in range(arguments.rounds):
            for way in ("direct", "auto"):
                seconds, _ = bench(arguments.program, f"{model}_fp32_{way}", arguments.threads)
                keep(way, images / seconds)
            for last in (False, True):
                keep("NHWC" if last else "NCHW", pytorch_step.measure(getattr(pytorch_step, model), last, 3)[0])
            seconds, verbose = bench(arguments.program, f"{model}_fp32_direct", arguments.threads, {"ONEDNN_VERBOSE": "1"})
            keep("direct", images / seconds)
            bare = min(bare, bare_seconds(verbose))
        torch_best = max(best["NCHW"], best["NHWC"])
        print(f"{model}, {images} images, {arguments.threads} threads, fp32, best of {arguments.rounds} rounds, images/s: "
              f"direct {best['direct']:.1f}, chosen {best['auto']:.1f}, PyTorch NCHW {best['NCHW']:.1f}, NHWC {best['NHWC']:.1f}; "
              f"over PyTorch {best['direct'] / torch_best:.2f} (direct), {best['auto'] / torch_best:.2f} (chosen); "
              f"share of bare primitives (direct) {bare * best['direct'] / images:.0%}", flush=True)


if __name__ == "__main__":
    main()
