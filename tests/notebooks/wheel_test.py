#!/usr/bin/env python3
"""The wheel of the Python package: built from the module that is there already, installed into an environment of its own, used from an empty folder.

    wheel_test.py MODULE PROGRAM SOURCE_DIR          MODULE: _core of a build, or "compile": the wheel compiles the core itself (minutes)
Exit code 77 (skipped) where pip, venv or the Python index are missing: scikit-build-core comes from there.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

MODULE, PROGRAM, SOURCE = None if sys.argv[1] == "compile" else pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
RUN = SOURCE / "experiments" / "dgx_ladders" / "run.toml"
VALUES = {"cluster.gpus": 4, "training.global_batch": 256, "output.curve": []}
USE = f"""
import json, pathlib
import lockstep as ls
found = ls.simulate(ls.load({str(RUN)!r}, {VALUES!r}))
print(json.dumps({{"package": ls.__file__, "data": str(ls.data_directory()), "digest": found.event_digest, "step_ms": found.step_ms,
                  "clusters": list(ls.choices("clusters")["name"]), "inside": bool(ls.validate("dgx1_fp16_8")["inside"].all())}}))
"""


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(77)


def execute(*words, **options):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, timeout=600 if MODULE else 7200, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, words[:6]))} ...: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def main():
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    if subprocess.run([*pip, "--version"], capture_output=True).returncode != 0:
        skip("pip is missing; Debian: python3-pip")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LOCKSTEP_") and k != "PYTHONPATH"}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        probe = subprocess.run([*pip, "download", "-q", "--retries", "1", "--timeout", "10", "--no-deps", "--dest", folder / "probe", "scikit-build-core"],
                               capture_output=True, env=environment)
        if probe.returncode != 0:
            skip("the Python index is not reached, or has no scikit-build-core")

        settings = []
        if MODULE:
            module = folder / MODULE.name
            if shutil.which("strip"):
                execute("strip", "-o", module, MODULE)
            else:
                shutil.copy(MODULE, module)
            settings = [f"--config-settings=cmake.define.LOCKSTEP_PYTHON_MODULE={module}"]
        execute(*pip, "wheel", "--no-deps", "-w", folder / "wheels", *settings, SOURCE / "notebooks" / "python", env=environment)
        wheels = list((folder / "wheels").glob("lockstep-*.whl"))
        assert len(wheels) == 1, wheels

        # Without pip inside: the one outside installs. System packages stay visible: pandas and matplotlib.
        execute(sys.executable, "-m", "venv", "--without-pip", "--system-site-packages", folder / "venv")
        python = folder / "venv" / "bin" / "python"
        execute(*pip, "--python", python, "install", "-q", "--no-deps", "--no-index", wheels[0], env=environment)
        (folder / "empty").mkdir()
        used = json.loads(execute(python, "-I", "-c", USE, cwd=folder / "empty", env=environment))

        inside = (folder / "venv").resolve()
        assert inside in pathlib.Path(used["package"]).resolve().parents, used["package"]
        assert inside in pathlib.Path(used["data"]).resolve().parents, used["data"]
        assert used["inside"] and "abci" in used["clusters"], used
        sets = [word for path, value in VALUES.items() for word in ("--set", f"{path}={value}")]
        expected = json.loads(execute(PROGRAM, "--quiet", "--data", SOURCE / "data", "simulate", RUN, "--no-interval", "--no-curve", "--json", *sets))
        assert (used["digest"], used["step_ms"]) == (expected["event_digest"], expected["step_ms"]), (used, expected["step_ms"])
        print(f"{wheels[0].name}: {wheels[0].stat().st_size / 2**20:.1f} MiB, step {used['step_ms']:.3f} ms as the program predicts")


if __name__ == "__main__":
    main()
