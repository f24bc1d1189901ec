"""Loci used by a predictor: LD blocks, association beside importance, decoys for a threshold."""
