"""A Slurm cluster of several nodes on this host, for as long as a test runs: own munge key, own ports, own directory; nothing is left behind."""

import contextlib
import getpass
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time

NEEDED = ("slurmctld", "slurmd", "srun", "scontrol", "munged")
CONFIG = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
AuthType=auth/munge
AuthInfo=socket={root}/munge.socket
CryptoType=crypto/munge
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool-%n
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd-%n.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd-%n.log
TmpFS={root}/tmp-%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=2
MpiDefault=pmix
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
{nodes}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing():
    """Why no cluster can be started here, or an empty text."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    absent = [program for program in NEEDED if not shutil.which(program, path=path)]
    if absent:
        return f"not installed: {', '.join(absent)} (Debian: slurm-wlm, munge)"
    if os.geteuid() != 0:
        return "slurmd needs root"
    return ""


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


@contextlib.contextmanager
def cluster(nodes=2, cores=4):
    """Yields the environment in which srun reaches the cluster."""
    root = pathlib.Path(tempfile.mkdtemp(prefix="lockstep-slurm-"))
    env = dict(os.environ, SLURM_CONF=str(root / "slurm.conf"), PATH=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    # Several nodes on one host must not use shared memory between them.
    env |= {"OMPI_MCA_btl": "tcp,self", "OMPI_MCA_btl_tcp_if_include": "lo", "OMPI_MCA_pml": "ob1"}
    # Open MPI's session directory is otherwise shared by all jobs of a user on this host, and the first to end removes it.
    env |= {"TMPDIR": str(root / "jobs"), "OMPI_MCA_orte_tmpdir_base": str(root / "jobs")}
    processes = []
    try:
        os.chmod(root, 0o755)
        (root / "state").mkdir()
        (root / "jobs").mkdir()
        key = root / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        ports = free_ports(nodes + 1)
        names = [f"n{i}" for i in range(nodes)]
        for name in names:
            (root / f"spool-{name}").mkdir()
            (root / f"tmp-{name}").mkdir()
        lines = [f"NodeName={n} NodeAddr=127.0.0.1 NodeHostname={socket.gethostname()} Port={p} CPUs={cores} State=UNKNOWN"
                 for n, p in zip(names, ports[1:])]
        (root / "slurm.conf").write_text(CONFIG.format(host=socket.gethostname(), port=ports[0], root=root, user=getpass.getuser(),
                                                       nodes="\n".join(lines)))
        (root / "cgroup.conf").write_text("CgroupAutomount=no\n")

        def start(*command):
            log = open(root / f"{command[0]}-{len(processes)}.out", "wb")
            processes.append(subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True))

        start("munged", "--foreground", "--force", f"--key-file={key}", f"--socket={root}/munge.socket", f"--pid-file={root}/munged.pid",
              f"--log-file={root}/munged.log", f"--seed-file={root}/munged.seed")
        wait_for(lambda: (root / "munge.socket").exists(), 10, "munged", root)
        start("slurmctld", "-D", "-c")
        for name in names:
            start("slurmd", "-D", "-N", name)

        def idle():
            out = subprocess.run(["sinfo", "-h", "-N", "-o", "%T"], env=env, capture_output=True, text=True)
            return out.stdout.split() == ["idle"] * nodes

        wait_for(idle, 30, "slurmd", root)
        yield env
    finally:
        for process in reversed(processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for process in processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
        shutil.rmtree(root, ignore_errors=True)


def wait_for(condition, seconds, what, root):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            logs = "\n".join(f"--- {p.name}\n{p.read_text(errors='replace')[-2000:]}" for p in sorted(root.glob("*.log")) + sorted(root.glob("*.out")))
            raise RuntimeError(f"{what} did not come up within {seconds} s\n{logs}")
        time.sleep(0.1)
