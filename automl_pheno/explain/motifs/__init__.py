"""Motifs: seqlets and patterns in attributions, filters of the first layer, and what they are known as."""
