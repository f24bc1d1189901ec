"""Run the parts of an explanation, each with its own random numbers; what fails leaves the others alone."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from automl_pheno.errors import UnknownNameError
from automl_pheno.explain.parts.protocol import PARTS, Part, PartRequest
from automl_pheno.explain.registry import ExplainError
from automl_pheno.keras_settings import held_settings
from automl_pheno.progress import tick
from automl_pheno.rng import generator

ALL = "all"
"""Every part but those `ON_REQUEST`."""
ON_REQUEST = frozenset({"modisco"})
"""Parts that take long; they run where they are named."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parts:
    """What the parts of an explanation found.

    Attributes
    ----------
    found
        Part -> its result, in the order in which they ran.
    left_out
        Part -> why it has nothing to say.
    failed
        Part -> traceback of a fault of ours. The rest of the explanation stands.
    """

    found: Mapping[str, Part] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is said to the user."""
        said = [note for part in self.found.values() for note in part.notes]
        for name, trace in self.failed.items():
            said.append(f"the part {name!r} of the explanation failed and was left out: {trace.splitlines()[-1]}")
        return tuple(said)


def check_parts(names: Sequence[str]) -> None:
    """Raise UnknownNameError for a name that is neither a part nor `ALL`."""
    for name in names:
        if name != ALL and name not in PARTS:
            raise UnknownNameError(PARTS.kind, name, [ALL, *PARTS])


@held_settings()
def run_parts(
    request: PartRequest,
    names: Sequence[str] = (ALL,),
    *,
    seed: int,
    hear: Callable[[str], None] | None = None,
) -> Parts:
    """Run parts in the order of ``PARTS`` and return what they found.

    Parameters
    ----------
    request
        What all of them get; ``rng`` and ``done`` are set for each.
    names
        Which; `ALL` stands for every part but those `ON_REQUEST`.
    seed
        Each part's generator is derived from it and the part's name.
    hear
        Told the name of each part as it begins.

    Raises
    ------
    UnknownNameError
        A name is no part.
    """
    check_parts(names)
    chosen = [name for name in PARTS if name in names or (ALL in names and name not in ON_REQUEST)]
    found: dict[str, Part] = {}
    left_out: dict[str, str] = {}
    failed: dict[str, str] = {}
    for number, name in enumerate(chosen):
        if hear is not None:
            hear(name)
        tick(f"explaining: {name}", number / len(chosen))
        asked = replace(request, rng=generator(seed, "explain", name), done=dict(found))
        try:
            found[name] = PARTS[name](asked)
        except ExplainError as error:
            left_out[name] = str(error)
        except Exception:  # noqa: BLE001  # hours of search stand behind it: one part must not take the others along
            failed[name] = traceback.format_exc()
    tick("explaining", 1.0)
    return Parts(found=found, left_out=left_out, failed=failed)
