"""Samplers and pruners of Optuna on three problems of this package: trials and seconds to a target, ten seeds.

Every setting is played by the real supervisor on surrogates of real trainings (Eggensperger et al. 2015, AAAI; see
``surrogate.py``), in virtual time, with 1 and 8 slots that report asynchronously. Samplers are compared without pruner
by the number of trials, pruners under the default sampler by virtual seconds. wheat is played twice: with one
validation set, where pruners see epochs, and with 5 folds, where they see folds.

Columns: ``trials`` (``seconds``, in trainings of mean length) until a finished trial is as good as the best 1 % of
random configurations (those that never get there count with the whole budget), ``reached`` (share of the seeds),
``regret``: how far the chosen configuration is, without noise, from the best of 5,000 random ones, in R2 x 1000, after
``half`` of and after the whole budget, mean and sd over seeds; then the regret on each problem. ``p``: Wilcoxon's
signed-rank test of the final regret against the first row, over all problems and seeds.

    python benchmarks/surrogate.py --table DIR      # once, about 20 minutes of one core
    python benchmarks/samplers.py --table DIR [--quick] [--seeds 10] [--slots 1 8] [--jobs 1]
        [--only samplers|pruners]

Studies that were played are kept in DIR/played.jsonl and not played again.
"""

from __future__ import annotations

import argparse
import contextlib
import heapq
import itertools
import json
import multiprocessing
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
from surrogate import Surrogate, fit_surrogate, read_table

from automl_pheno.rng import generator
from automl_pheno.space import from_rng
from automl_pheno.space.sample import draw
from automl_pheno.study.engines.optuna import SAMPLERS, SamplerEngine
from automl_pheno.study.engines.pruners import PRUNERS, Steps, make_pruner
from automl_pheno.study.plan import Plan
from automl_pheno.study.progress import Silent
from automl_pheno.study.slots.executor import Finished, Reported
from automl_pheno.study.storage.book import TrialBook
from automl_pheno.study.supervisor import Supervisor

Make = Callable[[int, int], Any]
MakePruner = Callable[[Steps], Any]
PLAYED = {"wheat": False, "wheat folds": True, "jores": False, "mutants": False}
BUDGET = 60
"""Complete random trials that fit into the budget of one slot; 8 slots have twice the trials."""


class TimeOverError(Exception):
    """The virtual time was used up, and nothing runs any more."""


@dataclass(slots=True)
class VirtualSlots:
    """Plays surrogate trainings in virtual time; the supervisor sees reports in the order of a real cluster."""

    surrogate: Surrogate
    slots: int
    seconds: float
    rng: np.random.Generator
    now: float = 0.0
    events: list[Any] = field(default_factory=list)
    stopped: set[str] = field(default_factory=set)
    ended: list[tuple[float, str, dict[str, Any]]] = field(default_factory=list)
    busy: int = 0
    order: Any = field(default_factory=itertools.count)

    def free(self) -> int:
        """None once the time is over."""
        if self.now < self.seconds:
            return self.slots - self.busy
        if not self.busy:
            raise TimeOverError
        return 0

    def expect(self, tasks: int) -> None:
        """Do nothing: there are as many slots as there are."""

    def submit(self, task: dict[str, Any]) -> None:
        """Draw the whole training."""
        values, seconds = self.surrogate.play(task["params"], self.rng)
        self.busy += 1
        self._push(self.now, task, 0, values, seconds)

    def poll(self, timeout: float, on_report: Any) -> list[Finished]:  # noqa: ARG002 - time is virtual
        """Go on to the next end of a trial."""
        while self.events:
            self.now, _, task, step, values, seconds = heapq.heappop(self.events)
            name = str(task["id"])
            if step:
                value = float(values[:step].mean() if self.surrogate.folds else values[step - 1])
                on_report(Reported(task=name, step=step, value=value, slot="virtual"))
                last = step == len(values)
                if last or name in self.stopped:
                    self.busy -= 1
                    state = "complete" if last and name not in self.stopped else "pruned"
                    self.ended.append((self.now, state, {**task["params"], "": value}))
                    return [Finished(task=name, outcome={"state": state, "value": value, "epochs": step})]
            self._push(self.now + seconds[step], task, step + 1, values, seconds)
        return []

    def stop(self, task: str) -> None:
        """End it at this report."""
        self.stopped.add(task)

    kill = stop

    def recycle(self, task: str) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    def _push(self, at: float, *event: Any) -> None:
        heapq.heappush(self.events, (at, next(self.order), *event))


class Memory(list[Any]):
    """Records in memory."""

    def records(self) -> list[Any]:
        """Return them."""
        return self

    def keep_up(self, *, now: bool) -> None:
        """Do nothing."""


def play(
    surrogate: Surrogate,
    make_sampler: Make,
    make_pruner: MakePruner,
    slots: int,
    seconds: float,
    trials: int,
    seed: int,
) -> list[tuple[float, str, dict[str, Any]]]:
    """Run one study; return the end, the state and the parameters (and value, under "") of each trial."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sampler = make_sampler(seed, slots)
        steps = Steps(last=surrogate.last, folds=surrogate.folds, slots=slots)
        pruner = make_pruner(steps)
        study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
        executor = VirtualSlots(surrogate, slots, seconds, np.random.default_rng([seed, slots]))
        plan = Plan(
            space=surrogate.space, check=lambda _: 1, metric="r2", higher_is_better=True, trials=trials,
            seed=seed, common={"function": "none"}, values_of_folds=isinstance(pruner, optuna.pruners.WilcoxonPruner),
        )  # fmt: skip
        book = TrialBook(study, Memory(), name="trial", higher_is_better=True)
        with contextlib.suppress(TimeOverError):
            Supervisor(plan, SamplerEngine(sampler), book, executor, Silent()).run()
    return executor.ended


def tpe(**options: Any) -> Make:
    """Return a maker of TPE as this package sets it, but for `options`."""

    def make(seed: int, slots: int) -> Any:
        startup = max(10, 2 * slots)
        return optuna.samplers.TPESampler(
            **{"seed": seed, "n_startup_trials": startup, "warn_independent_sampling": False, **options}
        )

    return make


@cache
def sampler_settings() -> dict[str, Make]:
    """Return the samplers that can run here, by the name of their row."""
    found: dict[str, Make] = {
        "tpe, 10 at random": tpe(),
        "tpe, 5 at random": tpe(n_startup_trials=5),
        "tpe, 20 at random": tpe(n_startup_trials=20),
        "tpe, no liar": tpe(constant_liar=False),
        "tpe, independent": tpe(multivariate=False),
        "tpe, group": tpe(multivariate=True, group=True),
    }
    for name in SAMPLERS:
        if name not in ("tpe", "tpe-group", "tpe-independent"):
            try:
                SAMPLERS[name](0, 1)
            except Exception as error:  # noqa: BLE001 - a package is missing
                print(f"optuna/{name} is left out: {error}")
            else:
                found[name] = SAMPLERS[name]
    return found


def measure(
    ended: list[tuple[float, str, dict[str, Any]]], surrogate: Surrogate, target: float, best: float, seconds: float,
    trials: int,
) -> dict[str, float]:  # fmt: skip
    """Return the figures of one study."""
    truth = surrogate.truth([{k: v for k, v in values.items() if k} for _, _, values in ended])
    complete = [i for i, (_, state, _) in enumerate(ended) if state == "complete"]
    hit = next((i for i in complete if truth[i] >= target), None)

    def regret(share: float) -> float:
        ripe = [i for i in complete if ended[i][0] <= share * seconds and i < share * trials]
        chosen = max(ripe, key=lambda i: ended[i][2][""]) if ripe else None
        return 1000.0 * (best - (truth[chosen] if chosen is not None else 0.0))

    return {
        "trials": trials if hit is None else hit + 1, "seconds": seconds if hit is None else ended[hit][0],
        "reached": float(hit is not None), "half": regret(0.5), "regret": regret(1.0), "started": len(ended),
    }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """What is good on a problem: judged by the surrogate without noise."""

    target: float
    best: float
    seconds: float  # of a training, mean


def judge(name: str, surrogate: Surrogate) -> Judge:
    """Judge by 5,000 random configurations."""
    rng = generator(1, "judge", name)
    drawn = [draw(surrogate.space, from_rng(rng)) for _ in range(5_000)]
    truth = surrogate.truth(drawn)
    mean = float(np.mean([surrogate.play(values, rng)[1].sum() for values in drawn[:200]]))
    return Judge(target=float(np.quantile(truth, 0.99)), best=float(truth.max()), seconds=mean)


def settings_of(kind: str) -> dict[str, tuple[Make, MakePruner]]:
    """Return the compared settings, sampler and pruner, by the name of their row."""
    if kind == "samplers":
        return {name: (make, partial(make_pruner, "none")) for name, make in sampler_settings().items()}
    found = {
        name: (tpe(), partial(make_pruner, name)) for name in ["none", *(name for name in PRUNERS if name != "none")]
    }
    for start, share in ((4, 5), (8, 12), (4, 12)):
        found[f"median {start}, 1/{share}"] = (tpe(), partial(median, start, share))
    return found


def median(start: int, share: int, steps: Steps) -> Any:
    """Return the median pruner after `start` trials, from a `share`-th part of the steps on."""
    warmup = 1 if steps.folds else max(2, steps.last // share)
    return optuna.pruners.MedianPruner(max(start, 2 * steps.slots), warmup, n_min_trials=min(start, 5))


def run(job: dict[str, Any], surrogate: Surrogate, judged: Judge) -> dict[str, Any]:
    """Play one study and return its row."""
    make, pruner = settings_of(job["kind"])[job["setting"]]
    trials = BUDGET * (1 if job["slots"] == 1 else 2)
    by_seconds = job["kind"] == "pruners"
    seconds = trials * judged.seconds / job["slots"] if by_seconds else 1e12
    limit = 20 * trials if by_seconds else trials
    ended = play(surrogate, make, pruner, job["slots"], seconds, limit, job["seed"])
    figures = measure(ended, surrogate, judged.target, judged.best, seconds, limit)
    figures["seconds"] /= judged.seconds  # in trainings of mean length: problems can be averaged
    return {**job, **figures}


_SHARED: dict[str, tuple[Surrogate, Judge]] = {}


def _prepare(table: Path, problems: list[str]) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    for name in problems:
        surrogate = fit_surrogate(name.split()[0], table, folds=PLAYED[name])
        _SHARED[name] = (surrogate, judge(name, surrogate))


def _work(job: dict[str, Any]) -> dict[str, Any]:
    return run(job, *_SHARED[job["problem"]])


def show(table: pd.DataFrame, kind: str, slots: int) -> pd.DataFrame:
    """Print and return the means over problems and seeds."""
    from scipy.stats import wilcoxon

    unit = "seconds" if kind == "pruners" else "trials"
    shown = table.groupby("setting", sort=False).agg(
        **{unit: (unit, "mean"), f"{unit} sd": (unit, "std")}, reached=("reached", "mean"), half=("half", "mean"),
        regret=("regret", "mean"), regret_sd=("regret", "std"), started=("started", "mean"),
    )  # fmt: skip
    problems = list(dict.fromkeys(table["problem"]))
    for name in problems:
        shown[name] = table[table["problem"] == name].groupby("setting")["regret"].mean()
    wide = table.pivot(index=["problem", "seed"], columns="setting", values="regret")
    first = shown.index[0]
    for setting in shown.index[1:]:
        both = wide[[first, setting]].dropna().to_numpy().T
        shown.loc[setting, "p"] = 1.0 if np.allclose(*both) else float(wilcoxon(*both).pvalue)
    print(f"\n{kind.capitalize()} by {unit}, {slots} slot{'s' if slots > 1 else ''}, {table['seed'].nunique()} seeds")
    print(shown.to_string(float_format=lambda value: f"{value:.2f}", na_rep=""), flush=True)
    return shown


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", type=Path, required=True, help="folder that surrogate.py filled")
    parser.add_argument("--quick", action="store_true", help="two seeds, one slot")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--only", choices=["samplers", "pruners"])
    parser.add_argument("--settings", nargs="+", help="rows of the tables, the first is compared with; left out: all")
    parser.add_argument("--problems", nargs="+", default=list(PLAYED), choices=list(PLAYED))
    options = parser.parse_args()
    seeds, slot_numbers = (2, [1]) if options.quick else (options.seeds, options.slots)
    problems = [name for name in options.problems if (options.table / f"{name.split()[0]}.jsonl").exists()]
    _prepare(options.table, problems)
    print("Surrogates, judged by 10-fold cross-validation over configurations:")
    print(pd.DataFrame({name: s.quality for name, (s, _) in _SHARED.items()}).T.round(3).to_string(), flush=True)
    kinds = [kind for kind in ("samplers", "pruners") if options.only in (None, kind)]
    asked = options.settings
    order = {kind: [name for name in asked or settings_of(kind) if name in settings_of(kind)] for kind in kinds}
    jobs = [
        {
            "kind": kind, "slots": slots, "setting": setting, "problem": name, "seed": seed,
            "table": _SHARED[name][0].quality["configurations"],
        }
        for seed in range(seeds) for slots in slot_numbers for kind in kinds for name in problems
        for setting in order[kind] if setting != "wilcoxon" or PLAYED[name]
    ]  # fmt: skip
    file = options.table / "played.jsonl"
    keys = ("kind", "slots", "setting", "problem", "seed", "table")
    known = {tuple(row[k] for k in keys): row for row in (read_table(file) if file.exists() else [])}
    todo = [job for job in jobs if tuple(job[k] for k in keys) not in known]
    with multiprocessing.get_context("fork").Pool(options.jobs) as pool, file.open("a") as out:
        for row in pool.imap_unordered(_work, todo):
            known[tuple(row[k] for k in keys)] = row
            out.write(json.dumps(row) + "\n")
            out.flush()
    table = pd.DataFrame([known[tuple(job[k] for k in keys)] for job in jobs])
    headline = float("nan")
    for slots in slot_numbers:
        for kind in kinds:
            part = table[(table["slots"] == slots) & (table["kind"] == kind)]
            part = part.sort_values("setting", key=lambda c, o=order[kind]: c.map(o.index), kind="stable")
            shown = show(part, kind, slots)
            if kind == "samplers":
                headline = float(shown["trials"].get("random", float("nan")) / shown["trials"].iloc[0])
    print(f"\ntrials to the target, random over the default sampler: {headline:.2f}")


if __name__ == "__main__":
    main()
