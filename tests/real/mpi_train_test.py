"""`lockstep train` under mpirun: agreement with a run alone, a lost rank, Ctrl-C, and faults that are told once.

Usage: mpi_train_test.py PROGRAM DATA RUN_FILE
"""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SKIPPED = 77
SETS = ["model.image_size=16", "model.classes=4", "model.name=resnet8", "data.kind=synthetic", "data.training_images=640", "data.validation_images=100",
        "training.epochs=2", "training.global_batch=32", "training.log_every=10"]
ORDERED = ["training.norm_group=8", "allreduce.reduction=ordered"]


def main(program, data, run_file):
    if not shutil.which("mpirun"):
        print("SKIPPED: mpirun is not installed (Debian: openmpi-bin)")
        return SKIPPED
    root = pathlib.Path(tempfile.mkdtemp(prefix="lockstep-mpi-"))
    env = dict(os.environ, LOCKSTEP_DATA=str(data), OMP_NUM_THREADS="1")

    def command(ranks, output, *sets, extra=()):
        launch = ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", str(ranks)] if ranks > 1 else []
        line = [*launch, str(program), "train", str(run_file), "--output", str(root / output), *extra]
        for s in [*SETS, "real.threads=1", *sets]:
            line += ["--set", s]
        return line

    def run(ranks, output, *sets, extra=(), expect=0):
        done = subprocess.run(command(ranks, output, *sets, extra=extra), env=env, capture_output=True, text=True, timeout=120)
        assert done.returncode == expect, (done.returncode, done.stdout, done.stderr)
        return done

    def loss(output):
        return json.loads((root / output / "result.json").read_text())["loss"]

    try:
        # The same bits for one, two and four processes.
        for ranks in (1, 2, 4):
            run(ranks, f"ordered{ranks}", *ORDERED)
        checkpoints = [(root / f"ordered{r}" / "checkpoints" / "step-40.ckpt") for r in (1, 2, 4)]
        weights = [blocks(c)["weights"] for c in checkpoints]
        assert weights[0] == weights[1] == weights[2], "ordered sums differ between numbers of processes"
        print("ordered sums: equal bits for 1, 2 and 4 processes")

        # Every algorithm stays close to it.
        for algorithm in ("ring", "halving_doubling", "tree"):
            run(2, algorithm, "training.norm_group=8", f"allreduce.algorithm={algorithm}")
            assert abs(loss(algorithm) - loss("ordered1")) < 1e-3 * loss("ordered1"), (algorithm, loss(algorithm), loss("ordered1"))
        run(2, "library", "training.norm_group=8", "allreduce.reduction=mpi")
        assert abs(loss("library") - loss("ordered1")) < 1e-3 * loss("ordered1")
        print("ring, halving-doubling, tree and MPI_Allreduce agree with it")

        # Faults are told once, by rank 0.
        wrong = run(3, "wrong", expect=2)
        assert wrong.stderr.count("not divisible by 3") == 1, wrong.stderr
        many = run(2, "many", "data.path=/nowhere/at/all", "data.kind=idx", expect=2)
        assert many.stderr.count("is not a directory") == 1, many.stderr
        print("faults are told once")

        # SIGTERM to the job: a checkpoint, exit 130 (or mpirun's own code), and a resumed run that ends as the whole one did.
        job = subprocess.Popen(command(2, "stopped", *ORDERED, "training.epochs=40", "schedule.warmup=none", "schedule.decay=constant"), env=env,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_for(root / "stopped" / "log.jsonl", '"event":"steps"', job)
        job.send_signal(signal.SIGTERM)
        out, err = job.communicate(timeout=60)
        assert list((root / "stopped" / "checkpoints").glob("step-*.ckpt")), (out, err)
        run(2, "stopped", *ORDERED, "training.epochs=40", "schedule.warmup=none", "schedule.decay=constant", extra=["--resume"])
        run(1, "whole", *ORDERED, "training.epochs=40", "schedule.warmup=none", "schedule.decay=constant")
        ends = [blocks(root / d / "checkpoints" / "step-800.ckpt")["weights"] for d in ("stopped", "whole")]
        assert ends[0] == ends[1], "a stopped and resumed run differs from a whole one"
        print("stopped by a signal, resumed, and equal bits at the end")

        # Ctrl-C to a run alone: a checkpoint, exit 130, and it goes on from there.
        job = subprocess.Popen(command(1, "interrupted", *ORDERED, "training.epochs=2000"), env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_for(root / "interrupted" / "log.jsonl", '"event":"steps"', job)
        job.send_signal(signal.SIGINT)
        out, err = job.communicate(timeout=60)
        assert job.returncode == 130 and "--resume" in err, (job.returncode, out, err)
        assert list((root / "interrupted" / "checkpoints").glob("step-*.ckpt")), (out, err)
        print("Ctrl-C leaves a checkpoint")

        # This machine as files; the simulator reads them; measured against simulated.
        def tool(ranks, name, *options, expect=0, sets=SETS):
            launch = ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", str(ranks)] if ranks > 1 else []
            line = [*launch, str(program), name, str(run_file), *options]
            for s in [*sets, *(["real.threads=1"] if name != "simulate" else [])]:
                line += ["--set", s]
            done = subprocess.run(line, env=env, capture_output=True, text=True, timeout=120)
            assert done.returncode == expect, (done.returncode, done.stdout, done.stderr)
            return done.stdout

        for ranks in (1, 2):
            calibrated = str(root / f"calibrated{ranks}")
            tool(ranks, "calibrate", "--steps", "5", "--output", calibrated)
            assert (pathlib.Path(calibrated) / "host.toml").exists() == (ranks == 2)
            rows = (pathlib.Path(calibrated) / "profile.csv").read_text().splitlines()
            assert any(",layer3.0.conv2," in r for r in rows) and any(",inference," in r for r in rows) and any(",update nesterov," in r for r in rows), rows
            table = tool(ranks, "compare", "--steps", "5", "--band", "100000", "--calibrated", calibrated)
            for operation in ("forward conv1", "backward layer3.0.conv2", "update 0", *(["allreduce bucket 0"] if ranks == 2 else [])):
                assert operation in table, (operation, table)
            tool(ranks, "compare", "--steps", "5", "--band", "0", "--calibrated", calibrated, expect=1)  # no measurement is that good
        page = tool(1, "simulate", "--no-interval", sets=[*SETS, "cluster.gpus=2", f"cluster.file={root}/calibrated2/host.toml"])
        assert "step time" in page
        print("calibrated, simulated and compared on one and two ranks")

        # A lost rank ends the job within seconds.
        job = subprocess.Popen(command(2, "lost", "training.epochs=2000"), env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_for(root / "lost" / "log.jsonl", '"event":"steps"', job)
        victim = children(job.pid)[-1]
        os.kill(victim, signal.SIGKILL)
        begin = time.monotonic()
        out, err = job.communicate(timeout=30)
        assert job.returncode != 0 and time.monotonic() - begin < 20
        assert re.search(r"rank \d|process rank", out + err), (out, err)
        print(f"a killed rank ended the job after {time.monotonic() - begin:.1f} s")
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return 0


def blocks(path):
    """The blocks of a checkpoint as bytes."""
    raw = path.read_bytes()
    length = int.from_bytes(raw[8:16], "little")
    text = raw[16:16 + length].decode()
    at, out = 16 + length + 4, {}
    for line in text.splitlines():
        if line.startswith("block "):
            name, count = line[6:].rsplit("=", 1)
            out[name] = raw[at:at + 4 * int(count)]
            at += 4 * int(count) + 4
    return out


def wait_for(path, text, job):
    end = time.monotonic() + 60
    while not (path.exists() and text in path.read_text()):
        if job.poll() is not None or time.monotonic() > end:
            raise AssertionError((job.returncode, *job.communicate(timeout=5)))
        time.sleep(0.05)


def children(pid):
    out = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True).stdout
    return [int(p) for p in out.split()]


if __name__ == "__main__":
    sys.exit(main(*(pathlib.Path(a) for a in sys.argv[1:4])))
