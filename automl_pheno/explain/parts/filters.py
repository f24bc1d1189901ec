"""Part "filters": what drives the filters of the first convolution, and what the network loses without them."""

from __future__ import annotations

import numpy as np

from automl_pheno.explain.parts.protocol import PARTS, NotApplicableError, Part, PartRequest
from automl_pheno.explain.references import draw_rows
from automl_pheno.explain.registry import NetworkLike
from automl_pheno.predictors.curated import CuratedPredictor

WORK, MOST_WORK = 4e10, 1e11
"""Multiplications for all nullified filters together: wanted, and allowed where few samples already cost more."""
CELLS = 2e7
"""Activations held for each member."""
FEWEST, MOST = 100, 1000
"""Training samples looked at."""


@PARTS.add("filters")
def filters(request: PartRequest) -> Part:
    """Return PWMs and nullification importance of the filters of the first convolution, over training samples.

    Raises
    ------
    NotApplicableError
        Not a network, not sequences, or no convolution at the beginning.
    """
    curated = request.predictor if isinstance(request.predictor, CuratedPredictor) else None
    network = request.predictor if curated is None else curated.inner
    if request.attribution.kind != "sequence":
        msg = "filters are shown as motifs of bases; the inputs are genotypes"
        raise NotApplicableError(msg)
    if not isinstance(network, NetworkLike):
        msg = f"filters belong to a network; the predictor is {network.kind!r}"
        raise NotApplicableError(msg)
    from automl_pheno.explain.motifs.filters import filter_arrays, filter_meme, filter_report, filter_table
    from automl_pheno.explain.motifs.first_layer import first_layers

    layers = first_layers(network.model)
    if not layers:
        msg = "the network does not begin with a convolution"
        raise NotApplicableError(msg)
    work = sum(layer.filters * layer.cost for layer in layers)
    cells = max(layer.filters * layer.positions for layer in layers)
    samples = int(np.clip(min(WORK / max(work, 1), CELLS / cells), FEWEST, MOST))
    most = int(np.clip(MOST_WORK / max(samples * max(layer.cost for layer in layers), 1) / 2, 8, 10_000))
    rows = draw_rows(len(request.training), samples, request.rng)
    training = request.training.take(rows)
    inputs, y = training.inputs, training.y
    if curated is not None:
        inputs, y = curated.curation.inputs(inputs), curated.curation.trait(y)
    scale = float(network.y_sd) or 1.0
    x = np.asarray(network.encode(inputs), dtype=np.float32)
    report = filter_report(layers, x, (y - float(network.y_mean)) / scale, most=most)
    table = filter_table(report)
    return Part(
        tables={"filters": table},
        arrays={"filters": filter_arrays(report)},
        texts={"filters.meme": filter_meme(report)},
        facts={
            "members": len(layers),
            "filters": len(report.filters),
            "silent": report.silent,
            "filters_nullified": int(table["nullification"].notna().sum()),
            "groups": int(table["group"].nunique()),
            "training_samples": len(rows),
            "r2": report.r2,
            "pearson_r": report.r,
            "output": "after normalisation and activation, before pooling",
            "windows": "activation above half of the filter's largest, wholly inside the sequence",
            "nullified": "set to its mean over these samples at each position; drop of R² (and r) of their predictions",
            "grouped": "average linkage of the PWMs' cosine (best shift, either strand) at 0.75",
        },
    )
