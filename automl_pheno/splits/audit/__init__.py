"""The audit of a split, by code that shares nothing with what made it.

``rules.py`` says what must not cross, ``run.py`` runs the checks: exact ones (``exact.py``), sequences
(``sequences.py`` with ``seeds.py`` and ``alignment.py``, certified by ``certificate.py``), genotypes
(``genotypes.py``), libraries of mutants (``library.py``). ``sides.py`` knows who is judged against whom, ``words.py``
says what was shown. Only definitions come from outside: thresholds, pairs, and which markers are compared.
"""
