"""`lockstep train --sweep` killed and resumed repeats no finished trial, and ends with the rows of an undisturbed execution.

Usage: kill_test.py PROGRAM SOURCE_DIR
"""

import csv
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

SETS = ["model.name=resnet8_w2", "model.image_size=16", "model.classes=4", "data.kind=synthetic", "data.shrink=1", "data.training_images=2048",
        "data.validation_images=64", "training.epochs=2"]
TRIALS = """seeds = [11, 12]
[[series]]
name = "SGD"
batches = [16, 32]
rates = [0.1, 0.2, 0.4]
[[series]]
name = "linear"
batches = [32]
rates_of = "SGD"
rule = "linear"
"""


def main(program, source):
    env = dict(os.environ, LOCKSTEP_DATA=str(source / "data"))
    with tempfile.TemporaryDirectory(prefix="lockstep-trials-") as folder:
        here = pathlib.Path(folder)
        (here / "trials.toml").write_text(TRIALS)

        def command(output, *more):
            sets = [word for s in SETS for word in ("--set", s)]
            return [program, "--quiet", "train", str(source / "experiments/accuracy_vs_batch/run.toml"), "--sweep", str(here / "trials.toml"),
                    "--output", str(here / output), "--jobs", "2", *sets, *more]

        def rows(output):
            try:
                with open(here / output / "trials.csv", newline="") as f:
                    lines = [line for line in f if line.endswith("\n")]  # a kill may leave half a line
            except FileNotFoundError:
                return []
            return list(csv.DictReader(lines))

        def run(*words, code=0):
            done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=300)
            assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
            return done

        job = subprocess.Popen(command("killed"), env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while len(rows("killed")) < 3:
            assert job.poll() is None, "the program ended before it could be killed"
            time.sleep(0.01)
        job.send_signal(signal.SIGKILL)
        job.wait()
        before = rows("killed")
        assert 3 <= len(before) < 12, len(before)

        text = run(*command("killed"), code=2).stderr
        assert "holds trials already" in text and "--resume" in text, text
        run(*command("killed", "--resume"))
        after = {row["index"]: row for row in rows("killed")}
        assert sorted(map(int, after)) == list(range(12)), sorted(after)  # 6 to tune, (2 + 1) batches x 2 seeds
        for row in before:
            assert after[row["index"]] == row, "a finished trial was run again"  # its wall time, too
        note = json.loads((here / "killed" / "trials.json").read_text())
        assert note["of_them_from_earlier"] == len(before), note

        run(*command("whole"))
        for row in rows("whole"):
            other = after[row["index"]]
            assert {**row, "wall_s": ""} == {**other, "wall_s": ""}, (row, other)

        text = run(*command("killed", "--resume", "--set", "optimizer.momentum=0.8"), code=2).stderr
        assert "was made from other inputs" in text, text
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], pathlib.Path(sys.argv[2])))
