"""``simulate``: data with a known truth, as files that ``search`` reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def simulate(
    kind: Annotated[str, typer.Argument(help="motifs, mutants or genotypes.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write; made if need be.")],
    n: Annotated[int | None, typer.Option("--n", help="Samples.", show_default=False)] = None,
    length: Annotated[int | None, typer.Option("--length", help="bp; motifs, mutants.", show_default=False)] = None,
    variants: Annotated[int | None, typer.Option("--variants", help="Number; genotypes.", show_default=False)] = None,
    heritability: Annotated[
        float | None, typer.Option("--heritability", help="0 to 1; genotypes.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of everything drawn.")] = 0,
) -> None:
    """Write simulated data and their truth into a folder."""
    from automl_pheno.api import simulate as make

    asked = {"n": n, "length": length, "n_variants": variants, "heritability": heritability}
    dataset, truth, files = make(
        kind, out, seed=seed, **{key: value for key, value in asked.items() if value is not None}
    )
    unit = "bp" if dataset.kind == "sequence" else "variants"
    print(f"{len(dataset):,} samples x {dataset.inputs.width:,} {unit} -> {', '.join(map(str, files))}")
    print(f"truth: {out / 'truth.json'}; no predictor can do better than r = {truth.ceiling_r:.3f} but by luck")
    table = f" --trait-table {files[1]}" if dataset.kind == "genotype" else ""
    space = "cnn_genotype" if dataset.kind == "genotype" else "cnn"
    print(f"next: automl-pheno search --space search_spaces/{space}.yaml --data {files[0]}{table} --trait trait")
