"""Runs: what a run file says, with some values changed."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import tomllib
from typing import Any, Mapping

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
    """Reads and checks a run file with every file that it names. ConfigError tells all faults at once."""
    return Run(pathlib.Path(file)).with_values(values or {})
