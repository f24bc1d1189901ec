"""``check``: validate space and study files and count what they hold, without a deep-learning library."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from automl_pheno.errors import AutoMLPhenoError, SpaceError, StudyError

if TYPE_CHECKING:
    from automl_pheno.space.extent import SpaceExtent
    from automl_pheno.space.size import NetworkSize

DEFAULT_LENGTH = 200


def check(
    files: Annotated[list[Path] | None, typer.Argument(help="Space or study files (YAML).", show_default=False)] = None,
    length: Annotated[
        int, typer.Option("--length", min=1, help="Input length in bp, or number of variants.")
    ] = DEFAULT_LENGTH,
    data: Annotated[
        Path | None, typer.Option("--data", help="Take the length from this data file.", show_default=False)
    ] = None,
    batch: Annotated[
        int | None, typer.Option("--batch", min=1, help="Batch size for the memory; default: the space's own.")
    ] = None,
    json_schema: Annotated[
        bool, typer.Option("--json-schema", help="Print the JSON Schema of spaces and end.")
    ] = False,
) -> None:
    """Validate space and study files and count weights.

    Loads no deep-learning library.
    """
    if json_schema:
        import json

        from automl_pheno.space.schema import json_schema as schema

        print(json.dumps(schema(), indent=2))
        return
    if not files:
        msg = "check needs at least one space or study file, got none"
        raise StudyError(msg)
    width = _width(data) if data is not None else length
    problems = []
    for number, file in enumerate(files):
        try:
            text = _describe(file, width, batch)
        except AutoMLPhenoError as error:
            problems.append(str(error))
            continue
        print(text if number == 0 else f"\n{text}")
    if problems:
        raise SpaceError("\n".join(problems))


def _width(data: Path) -> int:
    from automl_pheno.data.read import read_dataset

    return read_dataset(data).inputs.width


def _describe(file: Path, width: int, batch: int | None) -> str:
    if _has_trunk(file):
        return _describe_space(file, width, batch)
    # Only now, since it takes pandas along, which would double the time of checking a space.
    from automl_pheno.study.config import is_study, load_study

    if not is_study(file):
        return _describe_space(file, width, batch)
    study = load_study(file)
    return f"{file}: valid study {study.name!r}\n{_describe_space(study.space, width, batch)}"


def _has_trunk(file: Path) -> bool:
    """Return whether the file is surely a space: it has the key ``trunk`` at the top."""
    try:
        return any(line.startswith(b"trunk:") for line in file.read_bytes().splitlines())
    except OSError:
        return True  # reading it as a space says why it cannot be read


def _describe_space(file: Path, width: int, batch: int | None) -> str:
    from dataclasses import replace

    from automl_pheno.space.extent import space_extent
    from automl_pheno.space.load import load_space

    space = load_space(file)
    if batch is not None:
        space = replace(space, fit={**space.fit, "batch_size": batch})
    extent = space_extent(space, width)
    unit = "bp" if space.input == "sequence" else "variants"
    return "\n".join(
        [f"{file}: valid space {space.name!r} for {space.input} inputs", *_lines(extent, f"{width:,} {unit}")]
    )


def _lines(extent: SpaceExtent, width: str) -> list[str]:
    conditional = extent.parameters - extent.unconditional
    count = "without end (a range is continuous)"
    if extent.configurations is not None:
        count = f"{extent.configurations:,}" if extent.configurations < 10**9 else f"{extent.configurations:.1e}"
    lines = [
        f"  parameters      {extent.parameters} ({extent.unconditional} always, {conditional} on a condition)",
        f"  configurations  {count}",
        f"  networks for inputs of {width}:",
        f"    {'':10} {'layers':>6} {'weights':>14} {'memory, one batch':>18}",
        _size_line("smallest", extent.smallest),
        *([_size_line("default", extent.default)] if extent.default is not None else []),
        _size_line("largest", extent.largest),
    ]
    if extent.default is None:
        lines.append("    the default configuration is not feasible for this width")
    if extent.infeasible:
        reason, _ = extent.reasons[0]
        lines.append(f"  {extent.infeasible:,} of {extent.draws:,} random draws are infeasible, most often: {reason}")
    return lines


def _size_line(name: str, size: NetworkSize) -> str:
    return f"    {name:10} {size.layers:6,} {size.weights:14,} {size.memory_bytes / 2**20:14,.1f} MiB"
