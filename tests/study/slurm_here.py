"""A SLURM of one node in a folder: Debian's daemons with a configuration of their own, ended at the end."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel")
CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
KillWait=10
OverTimeLimit=0
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def why_not() -> str:
    """Return why SLURM cannot run here; "" if it can."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    lacking = [program for program in PROGRAMS if shutil.which(program, path=path) is None]
    if lacking:
        return f"SLURM needs {', '.join(lacking)} (Debian: slurm-wlm, munge)"
    return "" if os.geteuid() == 0 else "slurmd runs as root only"


def call(*command: str) -> str:
    """Return what a command says."""
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout


@contextlib.contextmanager
def slurm(folder: Path):
    """Run a SLURM; ``SLURM_CONF`` of this process leads to it for the time of the block."""
    host = socket.gethostname().split(".")[0]
    ports = []
    for _ in range(2):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            ports.append(free.getsockname()[1])
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    (folder / "slurm.conf").write_text(CONFIGURATION.format(host=host, folder=folder, ports=ports))
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o600)
    before = dict(os.environ)
    os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    daemons = []

    def start(*command: str) -> None:
        with (folder / f"{command[0]}.out").open("w") as log:
            daemons.append(subprocess.Popen(command, stdout=log, stderr=log))

    try:
        start(
            "munged", "--foreground", "--force", f"--key-file={key}", f"--socket={folder}/munge.socket",
            f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log", f"--seed-file={folder}/munged.seed",
        )  # fmt: skip
        wait_for(lambda: (folder / "munge.socket").exists(), 20)
        start("slurmctld", "-D")
        start("slurmd", "-D")
        wait_for(lambda: call("sinfo", "--noheader", "--format=%t").strip() == "idle", 40)
        yield
    finally:
        with contextlib.suppress(subprocess.SubprocessError, OSError):
            call("scancel", "--partition=main", "--signal=KILL")
            call("scancel", "--partition=main")
            wait_for(lambda: not call("squeue", "--noheader"), 15)
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in daemons:
            with contextlib.suppress(subprocess.TimeoutExpired):
                daemon.wait(10)
            daemon.kill()
            daemon.wait()
        os.environ.clear()
        os.environ.update(before)


def wait_for(condition, seconds):
    """Wait until the condition holds and return what it returned."""
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(subprocess.SubprocessError):
            if found := condition():
                return found
        if time.monotonic() > end:
            msg = "waited in vain"
            raise TimeoutError(msg)
        time.sleep(0.1)
