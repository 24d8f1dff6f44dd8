"""Questions beside the prediction of a run: bare collectives, plans, what is wrong in a file, what there is, how good the predictions are."""

from __future__ import annotations

import dataclasses
import json
import os
from typing import Any, Callable, Iterable

import pandas as pd

from . import _core
from .run import Run, RunOrPath, data_directory, listed, loaded

_EXPERIMENTS = "experiments"  # beside the data: the run files of published results


def collective(cluster: str | os.PathLike, *, gpus: int = 0, sizes: int | str | Iterable[int | str] = "8:128MiB", algorithm: str = "auto", across: str = "auto",
               library: str | os.PathLike = "nccl-2.8", protocol: str = "auto", among: str | Iterable[str] = (), placement: str = "packed", channels: int = 0,
               gpudirect: bool = False, element_bytes: int = 4, stagger: str = "0us", launch: str = "", progress: Callable[[float], None] | None = None) -> pd.DataFrame:
    """A bare allreduce on `gpus` GPUs (0: all) of a cluster, as `lockstep collective` prints it: bytes, elements, algorithm, protocol, channels, time_us
    (out of place, launch included), algbw_GBps, busbw_GBps, messages, and with algorithm "library" the estimates that decided. `sizes`: "FIRST:LAST"
    doubles, one size or a list of them is bytes or text such as "25MiB". The other arguments are the program's options: see `lockstep collective --help`.

    >>> table = collective("dgx1-v100", gpus=8, sizes=["1MiB", "64MiB"], algorithm="ring")
    >>> list(table["bytes"])
    [1048576, 67108864]
    """
    request = _core.AllreduceRequest()
    request.cluster, request.library = os.fspath(cluster), os.fspath(library)
    request.algorithm, request.across, request.protocol, request.placement = algorithm, across, protocol, placement
    request.among = listed(among)
    request.sizes = ",".join(str(size) for size in listed(sizes))
    request.gpus, request.channels, request.element_bytes, request.gpudirect = gpus, channels, element_bytes, gpudirect
    request.stagger, request.launch = stagger, launch
    return pd.DataFrame(json.loads(_core.collective(request, str(data_directory()), progress)))


@dataclasses.dataclass(frozen=True)
class Plan:
    """What `lockstep plan` finds out."""

    run: Run
    buckets: pd.DataFrame  # bucket, tensors, bytes, last_layer, algorithm, messages, bytes_sent, longest_lane, cost_us
    candidates_us: pd.DataFrame  # one row per bucket, one column per algorithm: its cost alone on the cluster
    digest: str  # equal for equal step programs


def plan(run: RunOrPath, *, simulate: bool = False, progress: Callable[[float], None] | None = None) -> Plan:
    """The gradient buckets of a run, their allreduce schedules, and what the alternatives would cost alone on the cluster, simulated: folded above 32 GPUs, every
    message with `simulate` (slow for rings over many nodes). Raises ConfigError.

    >>> from lockstep import load
    >>> plan(load("experiments/dgx_ladders/run.toml")).candidates_us.sum().idxmin()
    'allreduce (ring x6)'
    """
    run = loaded(run)
    found = json.loads(_core.plan(str(run.file), run.sets, str(data_directory()), simulate, progress))
    rows: list[dict[str, Any]] = found["buckets"]
    candidates = pd.DataFrame([row.pop("candidates_us", {}) for row in rows])
    return Plan(run=run, buckets=pd.DataFrame(rows), candidates_us=candidates, digest=found["digest"])


def check(*files: str | os.PathLike, kind: str = "", all: bool = False) -> pd.DataFrame:
    """What is wrong or implausible in run, cluster, GPU and library files (paths, or stems of files in the data), one row each: file, kind, verdict
    (fault, implausible, or accepted by a comment), rule, where, key, message, because. No row: nothing found. `kind`: run, cluster, gpu or library
    instead of what the keys tell. `all`: every file of the data too. Raises ConfigError for a stem that no file
    has; faults in a file, or that it is not there, are rows.

    >>> len(check("dgx1-v100"))
    0
    """
    rows = []
    for report in json.loads(_core.check([os.fspath(file) for file in files], kind, all, str(data_directory()))):
        about = {"file": report["file"], "kind": report["kind"]}
        rows += [{**about, "verdict": "fault", "rule": "", **fault, "because": ""} for fault in report["faults"]]
        for finding in report["implausible"]:
            because = finding.pop("accepted_because")
            rows.append({**about, "verdict": "accepted" if because else "implausible", **finding, "because": because})
    return pd.DataFrame(rows, columns=["file", "kind", "verdict", "rule", "where", "key", "message", "because"])


def links(cluster: str | os.PathLike) -> pd.DataFrame:
    """The cables of a cluster (a file, or the stem of one in the data) by the names that simulation.slow_links, failed_links and background take, as `lockstep check
    --links` prints them. A row is a cable and those like it: place ("node" or "switches"), cable, to (the last one like it), cables (how many), bandwidth_GBps (per
    direction), latency_us. A name means both directions of a cable; one direction with .up or .down; * stands for any text. Raises ConfigError.

    >>> from lockstep import load
    >>> found = links("dgx1-v100")
    >>> found["cable"][0], set(found["place"])
    ('node0.gpu0-gpu1', {'node'})
    >>> cut = load("experiments/dgx_ladders/run.toml", {"simulation.failed_links": [found["cable"][0]]})
    >>> cut["simulation.failed_links"]
    ['node0.gpu0-gpu1']
    """
    return pd.DataFrame(json.loads(_core.links(os.fspath(cluster), str(data_directory()))),
                        columns=["place", "cable", "to", "cables", "bandwidth_GBps", "latency_us"])


def choices(what: str = "all") -> pd.DataFrame:
    """What there is to choose from: kind, name, about. `what`: all, models, clusters, gpus, libraries or words.

    >>> "abci" in set(choices("clusters")["name"])
    True
    """
    listed = json.loads(_core.choices(what, str(data_directory())))
    return pd.DataFrame([{"kind": kind, **entry} for kind, entries in listed.items() for entry in entries], columns=["kind", "name", "about"])


def validate(only: str = "", *, interval: bool = False, jobs: int = 0, progress: Callable[[float], None] | None = None) -> pd.DataFrame:
    """Predicted against published, as `lockstep validate` prints it, on `jobs` threads (0: all cores): id, quantity, predicted, published, error (relative),
    band_low, band_high, counted, inside, reason, source, confidence, and with `interval` its ends. `only`: rows whose id begins so. All rows take
    about a minute of one core. Raises ConfigError if no row is called so.

    >>> table = validate("dgx1_fp16")
    >>> bool(table["counted"].any())
    True
    """
    data = data_directory()
    return pd.DataFrame(json.loads(_core.validate(only, interval, str(data), str(data.resolve().parent / _EXPERIMENTS), jobs, progress)))
