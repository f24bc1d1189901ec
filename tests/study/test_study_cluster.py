"""Slots beyond this machine, without starting any: job scripts, versions, files that are sent, and the sealed ones."""

from __future__ import annotations

import hashlib
import os

import pytest
from pydantic import ValidationError

from automl_pheno.errors import StudyError
from automl_pheno.study.slots import nodes
from automl_pheno.study.slots.config import ClusterConfig
from automl_pheno.study.slots.jobqueue import Jobs, directives, environment, lifetime_of
from automl_pheno.study.slots.supply import Node, Supply, check_versions, write_files
from automl_pheno.study.slots.worker import EVALUATE, REFIT

pytest.importorskip("dask_jobqueue", reason="needs the extra cluster")

GPU = {"cores": 4, "memory": "16GB", "walltime": "1-02:30:00", "gpus": 1, "queue": "long", "account": "lab"}


def script(tmp_path, **section):
    """Return the job script, from the class of dask-jobqueue without a scheduler."""
    import dask_jobqueue

    from automl_pheno.study.slots import jobqueue

    config = ClusterConfig(**{"prologue": ("module load python",), "python": "/opt/python", **section})
    made = {}

    class CaughtError(Exception):
        pass

    def catch(self, **given):
        made.update(given)
        raise CaughtError

    kind = jobqueue.COMMANDS[config.kind][0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(getattr(dask_jobqueue, kind), "__init__", catch)
        with pytest.raises(CaughtError):
            jobqueue.make_cluster(config, "jax", tmp_path)
    job = made.pop("job_cls")
    for name in ("scheduler_options", "silence_logs", "shared_temp_directory"):
        made.pop(name)
    return job("tcp://10.0.0.1:1234", name="slot", **made).job_script().splitlines()


HEADERS = {
    "slurm": {
        "#SBATCH -p long", "#SBATCH -A lab", "#SBATCH --cpus-per-task=4", "#SBATCH --mem=15G", "#SBATCH -t 26:30:00",
        "#SBATCH --gres=gpu:1",
    },
    "pbs": {
        "#PBS -q long", "#PBS -A lab", "#PBS -l select=1:ncpus=4:mem=15259MB:ngpus=1", "#PBS -l walltime=26:30:00",
    },
    "lsf": {"#BSUB -q long", '#BSUB -P "lab"', "#BSUB -n 4", "#BSUB -W 26:30", '#BSUB -gpu "num=1"'},
    "sge": {"#$ -q long", "#$ -P lab", "#$ -l h_rt=26:30:00", "#$ -pe smp 4", "#$ -l gpu=1"},
}  # fmt: skip


@pytest.mark.parametrize("kind", HEADERS)
def test_job_scripts_say_it_in_the_words_of_their_system(kind, tmp_path):
    lines = script(tmp_path, kind=kind, **GPU, directives=("--exclusive",))
    mark = next(iter(HEADERS[kind])).split()[0]
    assert set(lines) >= HEADERS[kind] | {f"{mark} --exclusive"}
    assert {"export KERAS_BACKEND=jax", "export OMP_NUM_THREADS=4", "module load python"} <= set(lines)
    assert lines.index("export OMP_NUM_THREADS=4") < lines.index("module load python")
    assert not any("CUDA_VISIBLE_DEVICES" in line for line in lines)  # the batch system sets it
    assert any(str(tmp_path) in line for line in lines if line.startswith(mark))
    command = lines[-1] or lines[-2]
    assert command.startswith("/opt/python -m distributed.cli.dask_worker tcp://10.0.0.1:1234 --name slot")
    lifetime, stagger = lifetime_of(ClusterConfig(kind=kind, **GPU))
    assert f"--nanny --death-timeout 300 --local-directory ${{TMPDIR:-/tmp}} --lifetime {lifetime}s" in command
    assert f"--lifetime-stagger {stagger}s" in command
    assert lifetime + stagger < 26.5 * 3600 - 60


@pytest.mark.parametrize("kind", HEADERS)
def test_jobs_without_a_gpu_take_none(kind, tmp_path):
    lines = script(tmp_path, kind=kind)
    assert "export CUDA_VISIBLE_DEVICES=-1" in lines
    assert not any("gpu" in line for line in lines if line.startswith("#") and str(tmp_path) not in line)


@pytest.mark.parametrize(
    ("walltime", "seconds"), [("00:10:00", 600), ("02:30", 9000), ("2-00:00:00", 172800), (14400, 14400)]
)
def test_a_slot_leaves_before_its_wall_time(walltime, seconds):
    config = ClusterConfig(kind="slurm", walltime=walltime)
    lifetime, stagger = lifetime_of(config)
    assert config.seconds == seconds
    assert 0 < lifetime - stagger < lifetime + stagger <= seconds - 30
    assert lifetime >= 0.4 * seconds


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("walltime", "4 hours", "must be HH:MM:SS"), ("walltime", "00:00:30", "at least a minute"),
        ("memory", "lots", "must be like 8GB"), ("min_jobs", 3, "min_jobs must not exceed max_jobs"),
    ],
)  # fmt: skip
def test_a_section_that_cannot_be_is_refused(field, value, rule):
    with pytest.raises(ValidationError, match=rule):
        ClusterConfig(kind="slurm", **{field: value})


def test_a_half_hour_is_rounded_up_where_there_are_no_seconds():
    assert directives(ClusterConfig(kind="lsf", walltime="00:10:30"))["walltime"] == "00:11"


def test_threads_of_a_job_are_its_cores():
    found = environment(ClusterConfig(kind="slurm", cores=3), "tensorflow")
    assert found["OMP_NUM_THREADS"] == found["TF_NUM_INTRAOP_THREADS"] == "3"


class FakeCluster:
    """The part of a SpecCluster that `Jobs` uses."""

    class job_cls:  # noqa: N801 - the name is Dask's
        refusals: list[str] = []  # noqa: RUF012

    def __init__(self):
        self.worker_spec, self.workers, self.loop = {}, {}, self
        self.scheduler_info = {"workers": {}}
        self.next = 0

    def scale(self, n):
        while len(self.worker_spec) < n:
            self.worker_spec[f"job-{self.next}"] = None
            self.next += 1

    def add_callback(self, function, names):
        function(names)

    def scale_down(self, names):
        for name in names:
            del self.worker_spec[name]

    def begin(self, *numbers):
        self.scheduler_info["workers"] |= {str(i): {"name": f"job-{i}"} for i in numbers}


def test_jobs_follow_the_work_between_their_bounds(tmp_path):
    cluster, said = FakeCluster(), []
    jobs = Jobs(cluster, ClusterConfig(kind="slurm", min_jobs=1, max_jobs=4), tmp_path, said.append)
    assert len(cluster.worker_spec) == 4
    cluster.begin(0, 1, 2)
    jobs.expect(10, [])
    assert len(cluster.worker_spec) == 4
    jobs.expect(3, ["job-1"])  # the job that waits in the queue goes first
    assert set(cluster.worker_spec) == {"job-0", "job-1", "job-2"}
    jobs.expect(1, ["job-1"])  # the two others have trials
    assert set(cluster.worker_spec) == {"job-0", "job-2"}
    jobs.expect(0, ["job-0", "job-2"])
    assert len(cluster.worker_spec) == 1
    jobs.expect(3, [])
    assert len(cluster.worker_spec) == 3


def test_a_job_that_is_not_taken_stops_the_study_only_if_none_was_before(tmp_path):
    cluster, said = FakeCluster(), []
    jobs = Jobs(cluster, ClusterConfig(kind="slurm"), tmp_path, said.append)
    cluster.job_cls.refusals.append("Invalid account")
    with pytest.raises(StudyError, match="sbatch does not take the job: Invalid account"):
        jobs.replace_dead()
    jobs._came.add("7")
    jobs.replace_dead()
    assert said == ["cluster: sbatch does not take one more job now: Invalid account"]
    assert not cluster.job_cls.refusals


HERE = {
    "python": "3.11.7", "automl-pheno": "0.1.0 (code ab)", "numpy": "2.4.6", "keras": "3.15.1", "tensorflow": "2.21.0"
}  # fmt: skip


@pytest.mark.parametrize(
    ("there", "message"),
    [
        ({"python": "3.10.2"}, "worker w: has python 3.10.2, this supervisor 3.11.7"),
        ({"numpy": "1.26.4"}, "worker w: has numpy 1.26.4, this supervisor 2.4.6"),
        ({"keras": ""}, "worker w: keras is not installed there; this supervisor has 3.15.1"),
        ({"automl-pheno": "0.1.0 (code cd)"}, r"worker w: has automl-pheno 0.1.0 \(code cd\), this supervisor 0.1.0"),
        ({"tensorflow": "2.20.0"}, "worker w: has tensorflow 2.20.0"),
    ],
)
def test_versions_that_matter_are_compared(there, message):
    with pytest.raises(StudyError, match=message):
        check_versions(HERE, {**HERE, **there}, "worker w")


def test_patch_levels_may_differ():
    check_versions(HERE, {**HERE, "python": "3.11.9", "numpy": "2.4.1", "keras": "3.15.0"}, "worker w")
    check_versions({**HERE, "tensorflow": ""}, {**HERE, "tensorflow": ""}, "worker w")


def test_what_is_installed_here_fits_itself():
    found = nodes.installed("tensorflow")
    assert set(found) == {"python", "automl-pheno", "distributed", "numpy", "keras", "tensorflow"}
    assert "(code " in found["automl-pheno"]
    check_versions(found, nodes.installed("tensorflow"), "worker w")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(nodes.CACHE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_files_arrive_in_pieces_and_are_never_seen_half(cache):
    content = os.urandom(1000)
    digest = hashlib.sha256(content).hexdigest()
    files = {"development.npz": digest}
    assert nodes.missing(files) == ["development.npz"]
    nodes.receive("development.npz", digest, "a", 0, content[:600], 1000)
    assert nodes.missing(files) == ["development.npz"]
    nodes.receive("development.npz", digest, "b", 0, content, 1000)  # another supervisor at the same time
    nodes.receive("development.npz", digest, "a", 600, content[600:], 1000)
    assert nodes.missing(files) == []
    assert cache.stat().st_mode & 0o777 == 0o700
    nodes.forget(files)
    assert nodes.missing(files) == ["development.npz"]
    with pytest.raises(StudyError, match=r"development\.npz arrived damaged"):
        nodes.receive("development.npz", digest, "c", 0, content[:-1] + b"?", 1000)
    assert not [file for file in cache.iterdir() if file.name != ".lock"]


def test_another_users_folder_is_not_used(cache, monkeypatch):
    cache.mkdir()
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    with pytest.raises(StudyError, match="is not a folder of this user"):
        nodes.cache_folder()


class Worker:
    """A client of Dask that runs what it is asked to at once."""

    def __init__(self):
        self.asked = []

    def run(self, function, *arguments, workers, on_error):
        self.asked.append((function.__name__, arguments))
        return {workers[0]: function(*arguments)}


@pytest.fixture
def run(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    for name in ("development.npz", "split.csv", "sealed_test.npz"):
        (run / name).write_bytes(name.encode() * 10)
    return run


def test_the_sealed_test_is_sent_for_a_refit_alone_and_taken_back(cache, run):
    client, said = Worker(), []
    supply = Supply(client, run, "tensorflow", said.append)
    supply._at["w"] = Node(shared=False, name="far")
    task = {"id": "a#1", "name": "a", "function": EVALUATE, "run": str(run), "data": "d"}
    prepared = supply.prepare("w", task)
    sent = {arguments[0] for name, arguments in client.asked if name == "receive"}
    assert set(prepared["files"]) == sent == {"development.npz", "split.csv"}
    assert prepared["keep"] == prepared["sealed"] == []
    assert supply.sent == {"far": sum((run / name).stat().st_size for name in sent)}
    assert said == [f"far does not see the run folder: sent it {supply.sent['far']:,} bytes"]
    refit = supply.prepare("w", {**task, "function": REFIT, "folder": "cnn-4"})
    assert "sealed_test.npz" in refit["files"]
    assert refit["sealed"] == ["sealed_test.npz"]
    assert refit["keep"] == ["finalists/cnn-4"]
    before = len(client.asked)
    supply.prepare("w", {**task, "function": REFIT, "folder": "cnn-5"})
    assert len(client.asked) == before  # nothing is sent twice
    assert nodes.missing(refit["files"]) == []
    supply.close()
    assert nodes.missing(refit["files"]) == ["sealed_test.npz"]
    assert sorted(file.name for file in run.iterdir()) == ["development.npz", "sealed_test.npz", "split.csv"]


def test_a_worker_that_sees_the_very_folder_reads_it(cache, run, tmp_path):
    client = Worker()
    supply = Supply(client, run, "tensorflow", lambda text: None)
    assert supply.greet("w", "w") == "ready"
    task = {"function": REFIT, "run": str(run)}
    assert supply.prepare("w", task) is task
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in run.iterdir():
        if not file.name.startswith("."):
            (copy / file.name).write_bytes(file.read_bytes())
    assert not nodes.greet({"run": str(copy), "token": supply._token, "backend": "tensorflow"})["shared"]
    supply.close()


def test_files_that_come_back_stay_in_their_folder(run):
    write_files(run, {"finalists/cnn-4/model.keras": b"1", "finalists/cnn-4/deep/x.json": b"2"})
    assert (run / "finalists/cnn-4/deep/x.json").read_bytes() == b"2"
    for path in ("../x", "/etc/passwd", "finalists/x", "journal.log", "finalists/../../x/y"):
        with pytest.raises(StudyError, match="has no place in the run folder"):
            write_files(run, {path: b""})
