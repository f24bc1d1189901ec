"""What happens when sequences or genotypes are changed: mutants, motifs put in and taken out, surrogates."""
