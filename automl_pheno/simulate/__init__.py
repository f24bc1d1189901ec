"""Data with a known truth: mutants, motifs and genotypes."""

from automl_pheno.simulate.genotypes import simulate_genotypes
from automl_pheno.simulate.motifs import simulate_motifs
from automl_pheno.simulate.mutants import simulate_mutants
from automl_pheno.simulate.truth import SIMULATORS, Causal, Motif, Simulator, Term, Truth
from automl_pheno.simulate.write import write_simulation

__all__ = [
    "SIMULATORS",
    "Causal",
    "Motif",
    "Simulator",
    "Term",
    "Truth",
    "simulate_genotypes",
    "simulate_motifs",
    "simulate_mutants",
    "write_simulation",
]
