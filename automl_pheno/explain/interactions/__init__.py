"""Epistasis in a predictor: pairs of places whose effects do not add up."""
