"""Runs: what a run file says, with some values changed."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import tomllib
from typing import Any, Iterable, Mapping

from . import _core


def data_directory() -> pathlib.Path:
    """Where clusters, GPUs, libraries and published results lie: LOCKSTEP_DATA, else the data of this package."""
    if "LOCKSTEP_DATA" in os.environ:
        return pathlib.Path(os.environ["LOCKSTEP_DATA"])
    here = pathlib.Path(__file__).resolve().parent
    if (here / "data").is_dir():
        return here / "data"
    from ._where import DATA  # written by CMake
    return pathlib.Path(DATA)


def as_value(value: Any) -> str:
    """A Python value as a run file would have it: True -> true, [1, 2] -> [1, 2], {"rank": 7} -> {rank = 7}."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k} = {as_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple, range)):
        return "[" + ", ".join(as_value(v) for v in value) + "]"
    if isinstance(value, (str, pathlib.Path)):
        return json.dumps(str(value))
    if hasattr(value, "item"):  # a number of numpy or pandas
        return as_value(value.item())
    if isinstance(value, (int, float)):
        return repr(value)
    raise TypeError(f"{value!r} is no value of a run file; expected a number, text, bool, list or dict")


def listed(values: Any) -> list[Any]:
    """What a list, a range or a column of a frame holds; a single value, text and dict too, as a list of one."""
    return list(values) if isinstance(values, Iterable) and not isinstance(values, (str, Mapping)) else [values]


@dataclasses.dataclass(frozen=True)
class Run:
    """A run file and the values laid over it. Immutable: with_values() gives another run."""

    file: pathlib.Path
    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def with_values(self, values: Mapping[str, Any]) -> "Run":
        """The same run with these fields (dotted path -> value), checked at once: ConfigError tells all faults."""
        run = dataclasses.replace(self, values={**self.values, **values})
        run.text()
        return run

    @property
    def sets(self) -> list[str]:
        return [f"{path}={as_value(value)}" for path, value in self.values.items()]

    def text(self) -> str:
        """The effective run file: every field, defaults too."""
        return _core.effective(str(self.file), self.sets, str(data_directory()))

    def __getitem__(self, path: str) -> Any:
        """The effective value of a dotted path, as the run file would write it. KeyError for an unknown one."""
        value: Any = tomllib.loads(self.text())
        for part in path.split("."):
            if not isinstance(value, dict) or part not in value:
                raise KeyError(path)
            value = value[part]
        return value


def load(file: str | os.PathLike, values: Mapping[str, Any] | None = None) -> Run:
    """Reads and checks a run file with every file that it names. ConfigError tells all faults at once.

    >>> run = load("experiments/dgx_ladders/run.toml", {"cluster.gpus": 4, "training.global_batch": 256})
    >>> run["cluster.gpus"], run.with_values({"cluster.gpus": 2})["cluster.gpus"]
    (4, 2)
    """
    return Run(pathlib.Path(file)).with_values(values or {})


RunOrPath = Run | str | os.PathLike
"""What every function that takes a run accepts: a path is loaded, as load() does without values."""


def loaded(run: RunOrPath) -> Run:
    """The run that is meant. TypeError for anything else."""
    if isinstance(run, Run):
        return run
    if isinstance(run, (str, os.PathLike)):
        return load(run)
    raise TypeError(f"{run!r} is no run; expected the path of a run file or what lockstep.load returns")
