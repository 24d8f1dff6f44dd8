"""experiments/accuracy_vs_batch, the quick version: LARS keeps what retuned SGD loses at batch 2,048.

Usage: accuracy_vs_batch_test.py PROGRAM SOURCE_DIR [RESULT_DIRECTORY of an execution]
Skips (77) where Fashion-MNIST is not installed (Debian: dataset-fashion-mnist).
"""

import csv
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

SKIPPED, CHANCE = 77, 10.0


def check(directory):
    with open(directory / "trials.csv", newline="") as f:
        rows = [r for r in csv.DictReader(f) if r["stage"] == "final" and r["batch"] == "2048"]
    assert all(r["error"] == "" for r in rows), rows

    def mean(series):
        # A network whose loss is no number knows nothing: a tenth is right by chance.
        top1 = [float(r["top1_percent"] or CHANCE) for r in rows if r["series"] == series]
        assert len(top1) == 3, (series, top1)
        print(f"{series}: {statistics.mean(top1):.2f} % of {top1}")
        return statistics.mean(top1)

    sgd, lars, linear = mean("SGD, retuned"), mean("LARS, retuned"), mean("SGD, linear rule")
    assert lars >= sgd + 2, "LARS is expected at least 2 points above retuned SGD"
    assert linear <= sgd + 1, "the untuned linear rule is expected not to beat retuned SGD by more than 1 point"


def main(program, source, *done):
    if done:
        return check(pathlib.Path(done[0]))
    if not pathlib.Path("/usr/share/datasets/fashion-mnist").is_dir():
        print("SKIPPED: Fashion-MNIST is not installed (Debian: dataset-fashion-mnist)")
        return SKIPPED
    here = source / "experiments" / "accuracy_vs_batch"
    with tempfile.TemporaryDirectory(prefix="lockstep-accuracy-") as folder:
        subprocess.run([program, "train", str(here / "run.toml"), "--sweep", str(here / "quick.toml"), "--output", f"{folder}/quick"],
                       env=dict(os.environ, LOCKSTEP_DATA=str(source / "data")), check=True)
        return check(pathlib.Path(folder) / "quick")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], pathlib.Path(sys.argv[2]), *sys.argv[3:]))
