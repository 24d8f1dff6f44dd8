"""`lockstep train` under srun on a cluster of two nodes that the test starts on this host: PMIx, agreement with a run alone, a killed task.

Usage: slurm_train_test.py PROGRAM DATA RUN_FILE
"""

import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import cluster  # noqa: E402
from mpi_train_test import ORDERED, SETS, SKIPPED, blocks  # noqa: E402


def main(program, data, run_file):
    reason = cluster.missing()
    if reason:
        print(f"SKIPPED: {reason}")
        return SKIPPED
    root = pathlib.Path(tempfile.mkdtemp(prefix="lockstep-srun-"))
    root.chmod(0o755)
    try:
        with cluster.cluster(nodes=2, cores=2) as env:
            env = dict(env, LOCKSTEP_DATA=str(data), OMP_NUM_THREADS="1")

            def train(output, *launch, sets=ORDERED):
                line = [*launch, str(program), "train", str(run_file), "--output", str(root / output)]
                for s in [*SETS, "real.threads=1", *sets]:
                    line += ["--set", s]
                return subprocess.run(line, env=env, capture_output=True, text=True, timeout=120)

            alone = train("alone")
            assert alone.returncode == 0, alone
            four = train("four", "srun", "-N", "2", "-n", "4", "--ntasks-per-node=2", "-K1", "--mpi=pmix")
            assert four.returncode == 0, four
            assert "4 ranks" in four.stdout, four.stdout
            weights = [blocks(root / d / "checkpoints" / "step-40.ckpt")["weights"] for d in ("alone", "four")]
            assert weights[0] == weights[1], "four tasks on two nodes differ from one process"
            print("four tasks on two nodes: equal bits with a run alone")
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*(pathlib.Path(a) for a in sys.argv[1:4])))
