"""The folder ``explain/`` as explanations write it, filled with made-up numbers of the right shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from automl_pheno.data.dataset import Dataset
from automl_pheno.data.encode import one_hot

BASES = "ACGT"


def write_explanation_files(
    dataset: Dataset, folder: Path, *, verdict: str, aligned: bool = False, parts: bool = True, unit: str = "phenotype",
    warnings: tuple[str, ...] = (), motif: str = "ATGACGT",
) -> None:  # fmt: skip
    """Write an explanation of the first samples of `dataset`.

    Contributions are noise of 0.01; of sequences, 0.3 at the bases of `motif`, which is put into each sequence; of
    genotypes, the dosage of variant 40 less 1.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(5)
    n = min(80, len(dataset))
    codes = dataset.inputs.values[:n].copy()
    contributions = rng.normal(0, 0.01, codes.shape)
    sequences = dataset.inputs.kind == "sequence"
    if sequences:
        _plant(codes, contributions, motif, aligned, rng)
    else:
        contributions[:, 40] += np.nan_to_num(codes[:, 40]) - 1.0
    predictions = 5.0 + contributions.sum(axis=1)
    arrays: dict[str, Any] = {"ids": dataset.ids[:n], "predictions": predictions, "base_value": np.full(n, 5.0),
                              "completeness": np.zeros(n), "values": contributions}  # fmt: skip
    if sequences:
        arrays["one_hot"] = one_hot(codes).transpose(0, 2, 1)
        arrays["values"] = arrays["one_hot"] * contributions[:, None, :]
    else:
        arrays["dosages"] = codes
    np.savez_compressed(folder / "attributions.npz", **arrays)
    table = _importance(dataset, contributions, arrays)
    save(table, folder / "importance.csv")
    manifest: dict[str, Any] = {
        "verdict": verdict, "warnings": list(warnings), "seed": 7, "aligned": aligned or not sequences,
        "method": "deeplift", "fallback_from": [], "units": unit, "input": dataset.inputs.kind, "samples": n,
        "width": codes.shape[1], "references": "shuffles", "references_per_sample": 20, "max_abs_delta": 1e-7,
        "completeness_error": {"max": 1e-7, "prediction_spread": float(np.ptp(predictions))},
        "versions": {"keras": "3.9.0", "jax": None}, "explained": "cnn-28",
    }  # fmt: skip
    if parts:
        made = _sequence_parts if sequences else _variant_parts
        manifest["parts"] = made(dataset, folder, arrays, table, motif, rng)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def save(table: pd.DataFrame, path: Path) -> None:
    table.to_csv(path, index=False)


def _plant(codes: Any, contributions: Any, motif: str, aligned: bool, rng: np.random.Generator) -> None:
    n, length = codes.shape
    letters = np.array([1 << BASES.index(base) for base in motif], dtype=np.uint8)
    if aligned:
        codes[:] = codes[0]
        codes[:, 3] = (1 << rng.integers(0, 4, n)).astype(np.uint8)
    for row in range(n):
        place = length // 3 if aligned else int(rng.integers(0, length - len(motif)))
        codes[row, place : place + len(motif)] = letters
        contributions[row, place : place + len(motif)] += 0.3


def _importance(dataset: Dataset, contributions: Any, arrays: dict[str, Any]) -> pd.DataFrame:
    size, signed = np.abs(contributions).mean(axis=0), contributions.mean(axis=0)
    if dataset.inputs.kind == "sequence":
        table = pd.DataFrame({"position": np.arange(1, len(size) + 1), "mean_abs": size, "mean_signed": signed})
        count = arrays["one_hot"].sum(axis=0)
        means = np.where(count > 0, arrays["values"].sum(axis=0) / np.maximum(count, 1), np.nan)
        return table.assign(**{base: means[channel] for channel, base in enumerate(BASES)})
    variants = dataset.inputs.variants
    assert variants is not None
    table = variants[["id", "chromosome", "position"]].assign(mean_abs=size, mean_signed=signed, dosage_slope=signed)
    order = np.lexsort((table["position"], table["chromosome"].astype(int)))
    return table.iloc[order].reset_index(drop=True)


def _sequence_parts(
    dataset: Dataset, folder: Path, arrays: dict[str, Any], table: pd.DataFrame, motif: str, rng: np.random.Generator
) -> dict[str, Any]:
    length = arrays["values"].shape[2]
    pattern = np.eye(4)[[BASES.index(base) for base in motif]]
    _motifs(folder, arrays, motif, pattern, rng)
    filters = pd.DataFrame({
        "filter": [f"m0_f{k}" for k in range(6)], "member": 0, "consensus": motif, "width": len(motif),
        "information": np.linspace(12, 4, 6), "n_windows": 300, "mean_activation": 0.4,
        "nullification": np.linspace(0.3, -0.001, 6), "group": [0, 0, 1, 2, 3, 4], "group_nullification": 0.35,
        "group_size": [2, 2, 1, 1, 1, 1],
    })  # fmt: skip
    save(filters, folder / "filters.csv")
    share = {f"frequencies_{name}": (pattern + 0.1 * k) / (1 + 0.4 * k) for k, name in enumerate(filters["filter"])}
    np.savez(folder / "filters.npz", **share)
    rows = [("motif", "1", True, "bZIP910"), ("motif", "2", False, "TBP"), ("filter", "m0_f0", True, "bZIP910")]
    save(pd.DataFrame([{"kind": kind, "query": query, "consensus": motif, "target_id": "MA0096.1", "target_name": name,
                        "collection": "CORE", "species": "Antirrhinum majus", "p": 1e-6, "null_p": 0.01, "q": 0.001,
                        "overlap": 7, "strand": "+", "accepted": accepted} for kind, query, accepted, name in rows]
                      ), folder / "matches.csv")  # fmt: skip
    scores = rng.normal(0, 0.05, (8, 4, length)) - arrays["values"][:8].sum(axis=1, keepdims=True)
    scores = np.where(arrays["one_hot"][:8] > 0, 0.0, scores)
    np.savez(folder / "mutagenesis.npz", ids=arrays["ids"][:8], scores=scores, deletions=scores.mean(axis=1))
    save(pd.DataFrame({"position": np.arange(1, length + 1), "mean_abs": np.abs(scores).mean(axis=(0, 1)),
                       "mean_signed": scores.mean(axis=(0, 1)), "max_abs": np.abs(scores).max(axis=(0, 1)),
                       "strongest": [f"A{k}G" for k in range(1, length + 1)]}), folder / "mutations.csv")  # fmt: skip
    actions = [("1", "insert", 1.4), ("1", "insert_reverse", 0.3), ("1", "ablate", -1.2), ("2", "insert", -0.4)]
    save(pd.DataFrame([{"motif": name, "consensus": motif, "action": action, "effect": effect, "sd": 0.2, "n": 100,
                        "low": effect - 0.1, "high": effect + 0.1} for name, action, effect in actions]
                      ), folder / "motif_effects.csv")  # fmt: skip
    distance = np.arange(0, 40, 4)
    save(pd.concat([pd.DataFrame({"motif_a": "1", "motif_b": "2", "order": order, "distance": distance,
                                  "effect": 1.0 + sign * 0.5 * np.exp(-distance / 9), "sd": 0.1, "additive": 1.0,
                                  "n": 50}) for order, sign in (("a-b", 1), ("b-a", -1))]),
         folder / "spacing.csv")  # fmt: skip
    effects = pd.DataFrame(rng.normal(0, 0.1, (length, 4)), columns=list(BASES))
    effects.insert(0, "reference", "A")
    effects.insert(0, "position", np.arange(1, length + 1))
    save(effects, folder / "surrogate.csv")
    names = [str(position) for position in range(1, 21)]
    _interactions(folder, names, "positions", rng)
    mean = table["mean_abs"]
    save(pd.DataFrame({"position": table["position"], "mean": mean, "sd": mean / 4, "relative_sd": 0.25,
                       "mean_rank": 3.0}), folder / "stability.csv")  # fmt: skip
    save(table[["position"]].assign(mean_abs=mean * 0.5, mean_signed=0.0), folder / "counterpart.csv")
    return {
        "motifs": {"found": 2}, "filters": {}, "mutagenesis": {},
        "matches": {"sentence": "Motifs were compared with the CORE collection."},
        "surrogate": {"id": str(arrays["ids"][0]), "r2_additive": 0.71, "r2_pairwise": 0.8, "n_mutants": 500},
        "interactions": {}, "stability": {"refits": 3, "source": "members", "spearman_mean": 0.93},
        "counterpart": {"name": "ridge", "sentence": "The network and ridge agree in part."},
        "loci": {"not_applicable": "the samples are sequences, not genotypes"},
    }  # fmt: skip


def _motifs(folder: Path, arrays: dict[str, Any], motif: str, pattern: Any, rng: np.random.Generator) -> None:
    length = arrays["values"].shape[2]
    save(pd.DataFrame({
        "motif": ["1", "2"], "consensus": [motif, "TATAWAW"], "effect": ["raises", "lowers"], "n_seqlets": [80, 30],
        "n_sequences": [80, 29], "forward_share": [1.0, 0.5], "mean_contribution": [2.1, -0.6],
        "source": "seqlets", "median_place": [20, 15], "median_from_end": [30, 35], "place_iqr": [20, 2],
        "positional": [False, True], "anchor": "last", "share_near_mode": [0.1, 0.9], "mode_from_end": [12.0, 34.0],
        "mode_place": [48.0, 26.0],
    }), folder / "motifs.csv")  # fmt: skip
    np.savez(folder / "motifs.npz", contributions_1=0.3 * pattern, contributions_2=-0.1 * pattern,
             frequencies_1=pattern, frequencies_2=pattern)  # fmt: skip
    start = np.concatenate([rng.integers(1, length - 8, 80), rng.integers(length - 38, length - 34, 30)])
    save(pd.DataFrame({"motif": ["1"] * 80 + ["2"] * 30, "id": "s001", "start": start, "end": start + 6,
                       "strand": "+", "contribution": 1.0, "from_end": length - start - 3}),
         folder / "motif_places.csv")  # fmt: skip


def _interactions(folder: Path, names: list[str], kind: str, rng: np.random.Generator) -> None:
    k = len(names)
    matrix = rng.normal(0, 0.02, (k, k))
    matrix = (matrix + matrix.T) / 2
    matrix[2, 7] = matrix[7, 2] = 0.9
    np.savez(folder / "interactions.npz", matrix=matrix, attribution_matrix=matrix * 0.8, names=np.array(names),
             null=rng.normal(0, 0.02, 300))  # fmt: skip
    pairs = [(2, 7), *[(a, b) for a in range(6) for b in range(a + 1, 6)]]
    save(pd.DataFrame([{
        "rank": rank, "kind": kind, "a": a + 1, "b": b + 1, "name_a": names[a], "name_b": names[b],
        "interaction": matrix[a, b], "abs_interaction": abs(matrix[a, b]), "sd": 0.01, "se": 0.001, "n": 40,
        "p": 0.0001 if rank == 1 else 0.5, "q": 0.003 if rank == 1 else 0.9,
        "attribution_interaction": matrix[a, b] * 0.8, "distance": abs(a - b),
    } for rank, (a, b) in enumerate(pairs, start=1)]), folder / "interactions.csv")  # fmt: skip


def _variant_parts(
    dataset: Dataset, folder: Path, arrays: dict[str, Any], table: pd.DataFrame, motif: str, rng: np.random.Generator
) -> dict[str, Any]:
    p = len(table)
    block = np.arange(p) // 5
    association = rng.exponential(0.43, p)
    association[int(table["mean_abs"].argmax())] = 9.0
    save(table.assign(block=block, association_beta=0.1, association_se=0.02, association_p=10.0**-association,
                      minus_log10_p=association, maf=0.3), folder / "loci.csv")  # fmt: skip
    grouped = table.assign(block=block).groupby("block")
    blocks = pd.DataFrame({
        "chromosome": grouped["chromosome"].first(), "start": grouped["position"].min(),
        "end": grouped["position"].max(), "n_variants": grouped.size(),
        "lead": table.loc[grouped["mean_abs"].idxmax(), "id"].to_numpy(), "mean_abs": grouped["mean_abs"].sum(),
        "mean_signed": grouped["mean_signed"].sum(), "association_lead": table["id"].to_numpy()[:: 5][: len(grouped)],
        "association_p": 0.01,
    })  # fmt: skip
    blocks["decoy_q"] = np.where(blocks["mean_abs"] > 0.3, 0.01, 0.8)
    blocks["used"] = blocks["mean_abs"] > 0.3
    save(blocks.reset_index(), folder / "blocks.csv")
    beside = {"block": blocks.index, "mean_abs": blocks["mean_abs"], "decoy_mean_abs": 0.02}
    save(pd.DataFrame(beside), folder / "decoys.csv")
    half = rng.normal(0, 0.1, p)
    save(table[["id", "chromosome", "position"]].assign(
        effect_0=-half, effect_1=0.02, effect_2=half, additive=half, dominance=0.02),
         folder / "dosage_effects.csv")  # fmt: skip
    _interactions(folder, [str(name) for name in table["id"][:12]], "variants", rng)
    mean = table["mean_abs"]
    save(pd.DataFrame({"id": table["id"], "mean": mean, "sd": mean / 3, "relative_sd": 0.3, "mean_rank": 3.0}),
         folder / "stability.csv")  # fmt: skip
    save(table[["id", "chromosome", "position"]].assign(mean_abs=mean[::-1].to_numpy(), mean_signed=0.0),
         folder / "counterpart.csv")  # fmt: skip
    reason = "motifs are of sequences; these samples are genotypes"
    return {
        "motifs": {"not_applicable": reason}, "filters": {"not_applicable": reason},
        "loci": {"threshold": 0.3, "fdr": 0.1, "how": "one decoy for each block, from its neighbours",
                 "association_model": "one variant at a time, with principal components",
                 "sentence": "1 of 18 LD blocks is a locus used by the model.", "inflation": 1.04,
                 "disclaimer": "It is not shown to be causal."},
        "interactions": {}, "mutagenesis": {}, "surrogate": {"failed": "ValueError: singular"},
        "stability": {"refits": 3, "source": "refits", "spearman_mean": 0.55},
        "counterpart": {"name": "gblup", "sentence": "Network and GBLUP agree on which LD blocks matter."},
    }  # fmt: skip
