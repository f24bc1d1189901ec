"""Jobs of a batch system as slots: what each system's job script says, how many jobs there are, and when they leave."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
from distributed.core import Status
from distributed.security import Security

from automl_pheno.errors import StudyError
from automl_pheno.keras_settings import own_environment
from automl_pheno.study.slots.cluster import SETTINGS
from automl_pheno.study.slots.config import ClusterConfig
from automl_pheno.study.slots.machine import THREAD_VARIABLES
from automl_pheno.study.slots.supply import Say

ASK_EVERY = 15.0
"""Seconds between two questions to the batch system whether a job without a slot is still there."""

FAILED_JOBS = 3
"""Jobs that end before their slot came, in a row, after which the study stops: the next would end likewise."""

COMMANDS = {
    # kind: class of dask-jobqueue, command that submits, command that tells of one job (nothing or an error: it ended)
    "slurm": ("SLURMCluster", "sbatch", ("squeue", "--noheader", "--format=%T", "--jobs")),
    "pbs": ("PBSCluster", "qsub", ("qstat",)),
    "lsf": ("LSFCluster", "bsub", ("bjobs", "-noheader", "-o", "stat")),
    "sge": ("SGECluster", "qsub", ("qstat", "-j")),
}
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL", "DONE", "EXIT")


def lifetime_of(config: ClusterConfig) -> tuple[int, int]:
    """Return after how many seconds a slot leaves by itself, and by how many this is moved at random.

    Later than the longest lifetime the batch system would kill the job; the margin covers the start of Python, too.
    """
    margin = min(max(30, config.seconds // 30), 300)
    stagger = min(config.seconds // 20, 900)
    return config.seconds - margin - stagger, stagger


def directives(config: ClusterConfig) -> dict[str, Any]:
    """Return what dask-jobqueue's class of this system is to be given for wall time, queue, account and GPUs."""
    hours, rest = divmod(config.seconds, 3600)
    clock = f"{hours:02d}:{rest // 60:02d}:{rest % 60:02d}"
    given: dict[str, Any] = {"queue": config.queue, "walltime": clock}
    extra = list(config.directives)
    if config.kind == "slurm":
        given["account"] = config.account
        extra += [f"--gres=gpu:{config.gpus}"] if config.gpus else []
    elif config.kind == "pbs":
        given["account"] = config.account
        gpus = f":ngpus={config.gpus}" if config.gpus else ""
        given["resource_spec"] = f"select=1:ncpus={config.cores}:mem={_megabytes(config)}MB{gpus}"
    elif config.kind == "lsf":
        given["project"] = config.account
        given["walltime"] = f"{hours:02d}:{-(-rest // 60):02d}"
        extra += [f'-gpu "num={config.gpus}"'] if config.gpus else []
    else:
        given["project"] = config.account
        extra += [f"-pe smp {config.cores}"] if config.cores > 1 else []
        extra += [f"-l gpu={config.gpus}"] if config.gpus else []
    return {**given, "job_extra_directives": extra}


def _megabytes(config: ClusterConfig) -> int:
    return -(-config.bytes // 2**20)


def environment(config: ClusterConfig, backend: str) -> dict[str, str]:
    """Return the environment variables of a job, which must be there before Keras or numpy are imported."""
    return {
        **own_environment(backend),
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "MALLOC_TRIM_THRESHOLD_": "65536",
        "DASK_DISTRIBUTED__WORKER__MEMORY__TARGET": "False",
        "DASK_DISTRIBUTED__WORKER__MEMORY__SPILL": "False",
        "DASK_DISTRIBUTED__WORKER__MEMORY__PAUSE": "False",
        "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
        # Without a GPU of its own a job on a node that has some would take one from somebody else.
        **({} if config.gpus else {"CUDA_VISIBLE_DEVICES": "-1"}),
        **dict.fromkeys(THREAD_VARIABLES, str(config.cores)),
    }


def make_cluster(config: ClusterConfig, backend: str, logs: Path, security: Security | None = None) -> Any:
    """Return a cluster of dask-jobqueue with a scheduler in this process and no jobs yet.

    Parameters
    ----------
    config
        The section ``cluster:``.
    backend
        Of Keras.
    logs
        Existing folder, which the jobs see, for their log files and certificates.
    security
        See `make_security`.

    Raises
    ------
    StudyError
        dask-jobqueue is not installed, or refuses what it is given.
    """
    try:
        import dask_jobqueue
    except ImportError as error:
        msg = "cluster: needs dask-jobqueue; pip install 'automl-pheno[cluster]'"
        raise StudyError(msg) from error
    lifetime, stagger = lifetime_of(config)
    exports = [f"export {name}={value}" for name, value in environment(config, backend).items()]
    given = {
        "cores": config.cores,
        "processes": 1,
        "memory": f"{config.bytes}B",
        "job_name": "automl-pheno",
        "log_directory": str(logs),
        "local_directory": "${TMPDIR:-/tmp}",
        "python": config.python,
        "interface": config.interface,
        "job_script_prologue": [*exports, *config.prologue],
        "worker_extra_args": [
            "--lifetime", f"{lifetime}s", "--lifetime-stagger", f"{stagger}s", "--no-dashboard",
            "--preload", "automl_pheno.study.slots.job", "--preload-nanny", "automl_pheno.study.slots.job",
        ],
        "death_timeout": 300,
        "scheduler_options": {"port": 0, "dashboard": False, "dashboard_address": ":0"},
        "silence_logs": False,
        "security": security,
        "protocol": "tls://" if security is not None else "tcp://",
        "shared_temp_directory": str(logs),
        **directives(config),
        **config.options,
    }  # fmt: skip
    with warnings.catch_warnings(), dask.config.set(SETTINGS):
        warnings.simplefilter("ignore")
        try:
            kind = getattr(dask_jobqueue, COMMANDS[config.kind][0])
            return kind(job_cls=_noting(kind.job_cls), **given)
        except (ValueError, TypeError, OSError, RuntimeError) as error:
            msg = f"cluster: {error}"
            raise StudyError(msg) from error


def _noting(job: type) -> type:
    """Return the class of jobs with a list ``refusals`` of what the batch system said to jobs that it did not take."""

    class Job(job):  # type: ignore[misc] # dask_jobqueue is published without types
        refusals: list[str] = []  # noqa: RUF012 - one of each cluster

        async def _submit_job(self, script: str) -> Any:
            try:
                return await super()._submit_job(script)
            except RuntimeError as error:
                self.refusals.append(_what_it_said(str(error)))
                self.status = Status.failed  # else Dask takes it for one that was forgotten when all is closed
                raise

    return Job


def _what_it_said(text: str) -> str:
    said = text.partition("stderr:")[2] or text
    return "; ".join(line.strip() for line in said.splitlines() if line.strip())


def make_security(say: Say) -> Security | None:
    """Return the certificates of Dask's own configuration, or else ones for this run alone; None if neither can be."""
    configured = Security()
    if configured.tls_ca_file:
        return configured
    try:
        return Security.temporary()
    except ImportError:
        say(
            "cluster: without the package cryptography the connections to the jobs are neither encrypted nor "
            "authenticated: whoever reaches this machine's ports could run code as you; pip install cryptography"
        )
        return None


class Jobs:
    """Slots that are jobs; see `dask_executor.Elastic`."""

    def __init__(self, cluster: Any, config: ClusterConfig, logs: Path, say: Say) -> None:
        self.cluster = cluster
        self.lifetime = float(sum(lifetime_of(config)))
        self._config = config
        self._logs = logs
        self._say = say
        self._target = 0
        self._asked = time.monotonic()
        self._came: set[str] = set()
        self._ended: set[str] = set()
        self._failed: list[str] = []
        self._asking: threading.Thread | None = None
        self.expect(config.max_jobs, [])

    def expect(self, tasks: int, idle: list[str]) -> None:
        """Have a job for each of `tasks`, between ``min_jobs`` and ``max_jobs``; end jobs only of `idle` slots."""
        target = min(max(tasks, self._config.min_jobs), self._config.max_jobs)
        spec = self.cluster.worker_spec
        if len(spec) < target:
            self.cluster.scale(target)
        elif len(spec) > target:
            # A job that has not begun goes first, then one that has nothing to do; a trial is never cut short for it.
            known = self._names()
            queued = [name for name in spec if str(name) not in known]
            resting = [name for name in spec if str(name) in set(idle)]
            if going := [*queued, *resting][: len(spec) - target]:
                self.cluster.loop.add_callback(self.cluster.scale_down, going)
        self._target = target

    def kill(self, name: str) -> bool:  # noqa: ARG002 - one signature for all
        """Leave it to the nanny, which is on another machine."""
        return False

    def replace_dead(self) -> None:
        """Submit anew for jobs that have ended, and stop where they end before their slots come.

        Raises
        ------
        StudyError
            `FAILED_JOBS` jobs in a row ended before a slot came, or the batch system refuses the first ones.
        """
        self._hear_refusals()
        jobs, known = dict(self.cluster.workers), self._names()
        self._came |= {str(job.job_id) for name, job in jobs.items() if str(name) in known}
        if self._came - self._ended and known:
            self._failed.clear()
        if set(self.cluster.worker_spec) - set(jobs):
            self.cluster.scale(len(self.cluster.worker_spec))
        now = time.monotonic()
        if now - self._asked > ASK_EVERY and (self._asking is None or not self._asking.is_alive()):
            self._asked = now
            absent = {name: str(job.job_id or "") for name, job in jobs.items() if str(name) not in known}
            self._asking = threading.Thread(target=self._ask, args=(absent,), name="jobs", daemon=True)
            self._asking.start()
        if len(self._failed) >= FAILED_JOBS:
            msg = (
                f"cluster: {len(self._failed)} jobs in a row ended before their slots came "
                f"({', '.join(self._failed)}); the end of the last one's log:\n{self._tail(self._failed[-1])}"
            )
            raise StudyError(msg)

    def waiting(self) -> str:
        """Return that the jobs wait in the queue."""
        jobs = ", ".join(str(job.job_id) for job in self.cluster.workers.values() if job.job_id)
        return f"waiting for the first of the jobs {jobs or '(none submitted yet)'} to begin; their logs: {self._logs}"

    def close(self, timeout: float | None = None) -> None:
        """Cancel all jobs and end the scheduler."""
        self.cluster.close(timeout=timeout)

    def _hear_refusals(self) -> None:
        refusals = self.cluster.job_cls.refusals
        if refusals and not self._came:
            msg = f"cluster: {COMMANDS[self._config.kind][1]} does not take the job: {refusals[0]}"
            raise StudyError(msg)
        if refusals:  # a limit of jobs, perhaps: tried again, now and then
            self._say(f"cluster: {COMMANDS[self._config.kind][1]} does not take one more job now: {refusals[-1]}")
            refusals.clear()

    def _names(self) -> set[str]:
        return {str(worker["name"]) for worker in self.cluster.scheduler_info["workers"].values()}

    def _ask(self, absent: dict[str, str]) -> None:
        for name, job in absent.items():
            if job and self._is_there(job):
                continue
            if job and job not in self._came and job not in self._ended:
                self._failed.append(job)
            self._ended.add(job)
            # Dask notices the end only of a slot that had come; the others are let go here.
            self.cluster.loop.add_callback(self.cluster.workers.pop, name, None)

    def _is_there(self, job: str) -> bool:
        command = COMMANDS[self._config.kind][2]
        try:
            answer = subprocess.run([*command, job], capture_output=True, text=True, timeout=60, check=False)
        except (OSError, subprocess.SubprocessError):
            return True  # it cannot be known
        if "timed out" in answer.stderr or "Unable to contact" in answer.stderr:
            return True
        return answer.returncode == 0 and bool(answer.stdout.strip()) and answer.stdout.strip() not in ENDED

    def _tail(self, job: str) -> str:
        files = sorted(self._logs.glob(f"automl-pheno*{job}*"), key=lambda file: file.stat().st_mtime)
        lines = [line for file in files for line in file.read_text(errors="replace").splitlines() if line.strip()]
        return "\n".join(lines[-8:]) or f"(there is none in {self._logs})"


@contextlib.contextmanager
def start_jobs(config: ClusterConfig, backend: str, logs: Path, say: Say) -> Iterator[Jobs]:
    """Start a scheduler in this process and submit jobs with one slot each; all are cancelled at the end of the block.

    Raises
    ------
    StudyError
        The batch system's commands are not here, or dask-jobqueue refuses the section.
    """
    submit = COMMANDS[config.kind][1]
    if shutil.which(submit) is None:
        msg = f"cluster: {submit} is not found here; run the search where jobs of {config.kind} can be submitted"
        raise StudyError(msg)
    cluster = make_cluster(config, backend, logs, make_security(say))
    try:
        yield Jobs(cluster, config, logs, say)
    finally:
        with contextlib.suppress(Exception):
            cluster.close(timeout=30)
        for name, file in list(vars(cluster).items()):
            if name.startswith("_job_") and hasattr(file, "close"):  # the keys of this run, which go with it
                file.close()


__all__ = ["Jobs", "directives", "environment", "lifetime_of", "make_cluster", "make_security", "start_jobs"]
