"""What a run is about: its data, trait, split and space, made or read before anything is written."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from automl_pheno.curation import check_suits
from automl_pheno.data import Dataset, FloatArray, InputKind, choose_trait, drop_missing, save_dataset
from automl_pheno.errors import AutoMLPhenoError, SplitError, StudyError
from automl_pheno.evaluation.cross_validation import FEWEST_IN_FOLD, are_pooled
from automl_pheno.files import write_text, writing
from automl_pheno.metrics import METRICS
from automl_pheno.rng import derive_seed
from automl_pheno.simulate import SIMULATORS, Truth
from automl_pheno.space.load import load_space
from automl_pheno.space.tree import SearchSpace
from automl_pheno.splits import MadeSplit, Split, SplitConfig, make_split, read_split
from automl_pheno.study.config import StudyConfig
from automl_pheno.study.data import read_data
from automl_pheno.study.progress import Progress
from automl_pheno.study.provenance import describe_slots, file_sha256, write_provenance
from automl_pheno.study.run_folder import (
    DEVELOPMENT,
    IDENTITY,
    SEALED,
    SPACE,
    SPLIT,
    SPLIT_CARD,
    STUDY,
    write_split_files,
)
from automl_pheno.study.slots.machine import Machine

_SPACES: dict[InputKind, tuple[str, ...]] = {
    "sequence": ("cnn.yaml", "cnn_aligned.yaml", "cnn_global.yaml"),
    "genotype": ("cnn_genotype.yaml",),
}
"""Spaces that come with the package, by what they are for."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Material:
    """What a run is about, before anything is written."""

    space: SearchSpace
    dataset: Dataset
    trait: str
    about: dict[str, Any]  # what makes the data the same, their hash among it
    split: Split
    asked: SplitConfig  # with all that was left open decided
    made: MadeSplit | None  # None where the split of the run is taken up again
    truth: Truth | None


def prepare(
    config: StudyConfig,
    space: SearchSpace,
    path: Path,
    progress: Progress,
    dataset: Dataset | None = None,
    trait: str | None = None,
) -> Material:
    """Read the data and make the split; nothing is written.

    Parameters
    ----------
    config, space
        The study and its space.
    path
        Folder of the run, whose split is taken up where it began with the same data.
    progress
        Hears what the split is worth.
    dataset, trait
        Instead of ``config.data``.

    Raises
    ------
    AutoMLPhenoError
        Data, space and split do not fit, or the split leaks.
    """
    truth = None
    if dataset is None:
        dataset, truth, trait = _read_data(config, progress)
    check_suits(config.curation, dataset.kind)
    trait = choose_trait(dataset, trait)
    dataset = drop_missing(dataset, trait)
    for note in dataset.notes:
        progress.message(note)
    if space.input != dataset.kind:
        msg = (
            f"{config.space}: the space is for {space.input} inputs, but {dataset.name} holds {dataset.kind}s; "
            f"{_spaces_for(dataset.kind, config.space.parent)} (--space)"
        )
        raise StudyError(msg)
    made = None
    about = _data_identity(dataset, trait)
    asked = _decided_before(path, config.split)
    split = _split_of(path, asked, dataset, about)
    if split is None:
        made = make_split(dataset, trait, asked)
        split, asked = made.split, made.config
        _hear_split(config, made, progress)
    if config.pruner == "wilcoxon" and not split.is_cross_validation:
        msg = "pruner wilcoxon pairs the folds of two trials, so it needs a split with K folds"
        raise StudyError(msg)
    _check_small_folds(config, dataset.y(trait), split, progress)
    return Material(
        space=space, dataset=dataset, trait=trait, about=about, split=split, asked=asked, made=made, truth=truth
    )


def _check_small_folds(config: StudyConfig, y: FloatArray, split: Split, progress: Progress) -> None:
    """Say that folds are too small for scores of their own; raise StudyError where the pruner compares such scores."""
    parts = [fold.validation for fold in split.folds()]
    if not are_pooled(y, parts):
        return
    few = min(map(len, parts))
    found = f"{few} sample{'' if few == 1 else 's'}" if few < FEWEST_IN_FOLD else "one trait value"
    smallest = f"one of {len(parts)} folds has {found}"
    if config.pruner == "wilcoxon":
        msg = (
            f"pruner wilcoxon compares scores of single folds, but {smallest} (at least {FEWEST_IN_FOLD} samples that "
            "differ are needed); use fewer folds (split.folds), or another pruner"
        )
        raise StudyError(msg)
    progress.message(
        f"{METRICS[config.metric].label} is computed over the held-out samples of all folds at once: {smallest}, and "
        f"with fewer than {FEWEST_IN_FOLD} samples that differ the score of a fold is chance"
    )


def _decided_before(path: Path, config: SplitConfig) -> SplitConfig:
    """Return the configuration with what is left open as the run in `path` has decided it, if there is one."""
    try:
        before = json.loads((path / IDENTITY).read_text())["split"]
        decided = {"method": before["method"], "repeats": before.get("repeats", 1)}
    except (OSError, ValueError, KeyError, TypeError):
        return config
    open_fields = {"method": config.method == "auto", "repeats": config.repeats is None}
    return config.model_copy(update={name: decided[name] for name, is_open in open_fields.items() if is_open})


def _spaces_for(kind: InputKind, folder: Path) -> str:
    """Return which spaces in `folder` are for this kind of data, or those that come with the package."""
    found = []
    for path in sorted(folder.glob("*.yaml")):
        with suppress(AutoMLPhenoError):
            if load_space(path).input == kind:
                found.append(str(path))
    return f"take {' or '.join(found or [str(Path('search_spaces', name)) for name in _SPACES[kind]])}"


def _split_of(path: Path, config: SplitConfig, dataset: Dataset, about: dict[str, Any]) -> Split | None:
    """Return the split of a run that began with the same data and configuration; a large one takes long to make."""
    try:
        before = json.loads((path / IDENTITY).read_text())
        same = before["data"] == about and before["split"] == _split_identity(config)
        split = read_split(path / SPLIT) if same and (path / SPLIT_CARD).exists() else None
    except (OSError, ValueError, KeyError, SplitError):
        return None
    return split if split is not None and np.array_equal(split.ids, dataset.ids) else None


def _hear_split(config: StudyConfig, made: MadeSplit, progress: Progress) -> None:
    """Say what the split is worth; raise SplitError where it leaks and the study does not allow that."""
    for note in made.card["notes"]:
        progress.message(note)
    progress.message(made.card["statement"])
    for leak in made.leaks:
        progress.message(f"leak: {leak}")
    if made.leaks and config.leakage == "stop":
        msg = (
            f"the split leaks: {made.leaks[0]}"
            + (f" (and {len(made.leaks) - 1} more)" if len(made.leaks) > 1 else "")
            + "; keep together what is alike (groups), or say leakage: report in the study (--leakage report) to go on"
        )
        raise SplitError(msg)


def _read_data(config: StudyConfig, progress: Progress) -> tuple[Dataset, Truth | None, str | None]:
    if (data := config.data) is None:
        progress.message("no data given: using a simulated set of sequences with planted motifs")
        seed = derive_seed(config.seed, "simulated data") % 2**32
        return (*SIMULATORS["motifs"](seed=seed), None)
    return read_data(data), None, data.trait


def identity_of(config: StudyConfig, material: Material) -> dict[str, Any]:
    """Return what must stay the same for results of one run to be comparable."""
    return {
        "space": material.space.tree(),
        "data": material.about,
        "split": _split_identity(material.asked),
        "curation": config.curation.model_dump(mode="json"),
        "metric": config.metric,
        "backend": config.backend,
        "seed": config.seed,
    }


def _data_identity(dataset: Dataset, trait: str) -> dict[str, Any]:
    return {
        "samples": len(dataset),
        "input": dataset.kind,
        "width": dataset.inputs.width,
        "trait": trait,
        "sha256": dataset.sha256(),
    }


def _split_identity(config: SplitConfig) -> dict[str, Any]:
    identity: dict[str, Any] = config.model_dump(mode="json")
    if identity["repeats"] in (None, 1):  # as runs say that began before there were repeats
        del identity["repeats"]
    return identity


def write_inputs(path: Path, config: StudyConfig, material: Material, local: tuple[int, Machine] | None) -> str:
    """Write what the slots read and what a reader wants to know; return the hash of the development samples."""
    split, dataset = material.split, material.dataset
    development = dataset.take(split.development)
    with writing(path):
        if material.made is not None:
            write_split_files(path, material.made)
        save_dataset(development, path / DEVELOPMENT)
        if len(split.test):
            save_dataset(dataset.take(split.test), path / SEALED)
        if material.truth is not None:
            material.truth.save(path)
    write_text(path / STUDY, config.model_copy(update={"split": material.asked}).to_yaml())
    write_text(path / SPACE, yaml.safe_dump(material.space.tree(), sort_keys=False))
    digest = development.sha256()
    write_provenance(
        path,
        {
            "files": dict(dataset.files),
            "data_sha256": material.about["sha256"],
            "development_sha256": digest,
            "split_sha256": file_sha256(path / SPLIT),
            "space_sha256": file_sha256(path / SPACE),
            "seeds": {"study": config.seed, "split": config.split.seed},
            "slots": describe_slots(config, local),
            "notes": list(dataset.notes),
        },
    )
    return digest
