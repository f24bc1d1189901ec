"""Samples and references walk through a network side by side; the tape then carries multipliers back.

Forward, every value is computed once for each sample and once for each reference. Backward, a step turns the
multipliers of its output into those of its inputs: a linear step by its transpose, an elementwise one by the slope
between reference and sample (rescale rule, Shrikumar et al. 2017), a product by half of the joint difference each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from keras import ops

from automl_pheno.explain.methods.compiled import pull_back

Tensor = Any
Function = Callable[..., Tensor]
Slope = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""``(sample, reference, f(sample), f(reference)) -> slope``, broadcast over pairs."""
_Back = Callable[[Tensor], "list[tuple[Paired, Tensor]]"]


@dataclass(frozen=True, slots=True, eq=False)
class Paired:
    """One tensor of the network, for samples and for references.

    Attributes
    ----------
    x
        Of the samples, shape (n, ...).
    r
        Of the references: shape (n * count, ...), those of sample 0 first; (count, ...) where all samples share them.
    """

    x: Tensor
    r: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape without the rows."""
        return tuple(self.x.shape[1:])


@dataclass(slots=True)
class Tape:
    """Records steps; every multiplier has shape (n * count, ...).

    Attributes
    ----------
    samples, count
        Number of samples, and of references for each.
    shared
        Whether all samples have the same references.
    """

    samples: int
    count: int
    shared: bool
    _steps: list[tuple[Paired, _Back]] = field(default_factory=list)

    def pairs(self, z: Paired) -> tuple[Tensor, Tensor]:
        """Return samples and references so that they broadcast to (n, count, ...)."""
        return self._samples(z.x), self._references(z.r)

    def _samples(self, x: Tensor) -> Tensor:
        return x if self.samples == 1 else ops.expand_dims(x, 1)

    def _references(self, r: Tensor) -> Tensor:
        if self.samples == 1:
            return r
        rows = 1 if self.shared else self.samples
        return ops.reshape(r, (rows, self.count, *r.shape[1:]))

    def by_pair(self, g: Tensor) -> Tensor:
        """Return multipliers as they broadcast with `pairs`."""
        return g if self.samples == 1 else ops.reshape(g, (self.samples, self.count, *g.shape[1:]))

    def flat(self, g: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Return multipliers of pairs as rows."""
        return ops.reshape(g, (self.samples * self.count, *shape))

    def record(self, out: Paired, back: _Back) -> Paired:
        """Note how multipliers of `out` become those of what it was computed from."""
        self._steps.append((out, back))
        return out

    def linear(self, f: Function, *inputs: Paired, transpose: Function | None = None) -> Paired:
        """Return f of the inputs, f being linear plus a constant, and each row by itself.

        `transpose` takes multipliers of the output to those of the only input where that is quicker than what the
        backend derives.
        """
        out = Paired(f(*(z.x for z in inputs)), f(*(z.r for z in inputs)))

        def back(g: Tensor) -> list[tuple[Paired, Tensor]]:
            if transpose is not None:
                return [(inputs[0], transpose(g))]
            at = [self._any_value(z) for z in inputs]
            return list(zip(inputs, pull_back(f, at, g), strict=True))

        return self.record(out, back)

    def _any_value(self, z: Paired) -> Tensor:
        rows = self.samples * self.count
        return z.r if z.r.shape[0] == rows else ops.zeros((rows, *z.shape), dtype="float32")

    def elementwise(self, f: Function, slope: Slope, z: Paired) -> Paired:
        """Return f(z), whose multiplier is `slope` between reference and sample."""
        out = Paired(f(z.x), f(z.r))

        def back(g: Tensor) -> list[tuple[Paired, Tensor]]:
            m = slope(*self.pairs(z), *self.pairs(out))
            return [(z, self.flat(self.by_pair(g) * m, z.shape))]

        return self.record(out, back)

    def product(self, a: Paired, b: Paired, f: Function = ops.multiply) -> Paired:
        """Return f(a, b), linear in each: d f(a, b) = f(da, mean b) + f(mean a, db), which is exact."""
        out = Paired(f(a.x, b.x), f(a.r, b.r))

        def back(g: Tensor) -> list[tuple[Paired, Tensor]]:
            mean_a, mean_b = self.mean(a), self.mean(b)
            return list(zip((a, b), pull_back(f, [mean_a, mean_b], g), strict=True))

        return self.record(out, back)

    def quotient(self, a: Paired, b: Paired) -> Paired:
        """Return a / b: d (a / b) = (da - mean(a / b) db) / mean b, which is exact."""
        out = Paired(a.x / b.x, a.r / b.r)

        def back(g: Tensor) -> list[tuple[Paired, Tensor]]:
            ratio, mean_b = self.mean(out), self.mean(b)
            return list(
                zip((a, b), pull_back(lambda p, q: (p - ratio * q) / mean_b, [self.mean(a), mean_b], g), strict=True)
            )

        return self.record(out, back)

    def mean(self, z: Paired) -> Tensor:
        """Return the mean of sample and reference, shape (n * count, ...)."""
        x, r = self.pairs(z)
        return self.flat((x + r) * 0.5, z.shape)

    def multipliers(self, output: Paired, wanted: Paired) -> Tensor:
        """Return the multipliers of the summed `output` with respect to `wanted`, shape (n * count, ...)."""
        rows = self.samples * self.count
        found = {id(output): ops.ones((rows, *output.shape), dtype="float32")}
        for out, back in reversed(self._steps):
            g = found.pop(id(out), None)
            if g is None:
                continue
            for z, part in back(g):
                found[id(z)] = part if id(z) not in found else found[id(z)] + part
        return found.get(id(wanted), ops.zeros((rows, *wanted.shape), dtype="float32"))
