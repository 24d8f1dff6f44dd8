"""Real runs: the program `lockstep` trains and measures; what it wrote comes back as frames."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
from typing import IO, Any, Mapping, Sequence

import pandas as pd

from ._core import BackendError, ConfigError
from .files import read_log, read_trace
from .run import RunOrPath, data_directory, listed, loaded

_WITH_PARENT = pathlib.Path(__file__).with_name("_with_parent.py")
_INPUT_WRONG, _INTERRUPTED = 2, 130  # exit codes of the program


def program() -> pathlib.Path:
    """The program `lockstep`: LOCKSTEP_PROGRAM, else the one of the build that this package lies in, else that on PATH. ConfigError if there is none."""
    if "LOCKSTEP_PROGRAM" in os.environ:
        return pathlib.Path(os.environ["LOCKSTEP_PROGRAM"])
    try:
        from ._where import PROGRAM  # written by CMake; not part of a wheel
        if pathlib.Path(PROGRAM).is_file():
            return pathlib.Path(PROGRAM)
    except ImportError:
        pass
    found = shutil.which("lockstep")
    if found is None:
        raise ConfigError("LOCKSTEP_PROGRAM: no program lockstep on PATH; expected the path of one that was built, such as build/lockstep")
    return pathlib.Path(found)


def _guarded(command: Sequence[str]) -> list[str]:
    """The command such that it gets SIGTERM when its standard input, a pipe of this process, ends."""
    return [sys.executable, "-I", "-S", str(_WITH_PARENT), *command] if sys.executable else list(command)


def _execute(words: Sequence[str], launcher: Sequence[str]) -> str:
    """Standard output of the program. Raises what its exit code means, with its message; Ctrl-C is passed on and awaited; a
    second one ends the program and all ranks at once. If this process is killed, the program is told to end."""
    command = [*listed(launcher), str(program()), "--quiet", "--data", str(data_directory().resolve()), *words]
    if shutil.which(command[0]) is None:
        raise ConfigError(f"{command[0]}: no such program; expected one that can be executed")
    # Files, not pipes: nobody reads a pipe behind a killed process, and writing into it would end the program before its checkpoint.
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = subprocess.Popen(_guarded(command), stdin=subprocess.PIPE, stdout=out, stderr=err, start_new_session=True)
        try:
            child.wait()
        except BaseException:
            child.send_signal(signal.SIGINT)  # it writes a checkpoint
            try:
                child.wait()
            except BaseException:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
                raise
            raise
        finally:
            child.stdin.close()
        said, complained = (_from_begin(file) for file in (out, err))
    if child.returncode == 0:
        return said
    if child.returncode == _INTERRUPTED:
        raise KeyboardInterrupt
    message = complained.strip() or f"{command[0]}: exit code {child.returncode}"
    raise (ConfigError if child.returncode == _INPUT_WRONG else BackendError)(message)


def _from_begin(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


def _arguments(run: RunOrPath) -> list[str]:
    run = loaded(run)
    return [str(run.file), *(word for text in run.sets for word in ("--set", text))]


@dataclasses.dataclass(frozen=True)
class Training:
    """What a real run wrote into its directory."""

    directory: pathlib.Path

    @property
    def log(self) -> pd.DataFrame:
        """See read_log()."""
        return read_log(self.directory)

    @property
    def timeline(self) -> pd.DataFrame:
        """Some steps behind the first, of output.trace_ranks; see read_trace()."""
        return read_trace(self.directory / "trace.json")

    @property
    def json(self) -> Mapping[str, Any]:
        """result.json: ranks, steps, step_ms, parts_ms, images_per_s, loss, top1_percent, stopped, ..."""
        return json.loads((self.directory / "result.json").read_text())


def train(run: RunOrPath, output: str | os.PathLike, *, launcher: Sequence[str] = (), resume: bool = False, force: bool = False) -> Training:
    """Trains for real, as `lockstep train` does, into the directory `output`; returns when it has ended. `launcher`: words before the program, such as
    ["mpirun", "-n", "2"]; their number of processes is the world size. `resume` goes on from the newest checkpoint, `force` overwrites. Ctrl-C lets the
    run write a checkpoint, and so does the end of this process, even when it is killed; mpirun gives its ranks about a second for
    that, so what has longer steps should set training.checkpoint_every. Raises ConfigError, BackendError."""
    flags = [word for word, on in (("--resume", resume), ("--force", force)) if on]
    _execute(["train", *_arguments(run), "--output", os.fspath(output), *flags], launcher)
    return Training(pathlib.Path(output))


def calibrate(run: RunOrPath, output: str | os.PathLike, *, steps: int = 50, launcher: Sequence[str] = (), force: bool = False) -> Mapping[str, str]:
    """Measures this machine at the run's model and batch, as `lockstep calibrate` does, into the directory `output`. Returns the values that let
    simulate() predict this machine: run.with_values(calibrate(run, ...)). With a launcher of two processes messages are measured too."""
    flags = ["--force"] if force else []
    _execute(["calibrate", *_arguments(run), "--steps", str(steps), "--output", os.fspath(output), *flags], launcher)
    here = pathlib.Path(output).resolve()
    values = {"cluster.gpu": str(here / "processor.toml")}
    if (here / "host.toml").is_file():
        values["cluster.file"] = str(here / "host.toml")
    return values
