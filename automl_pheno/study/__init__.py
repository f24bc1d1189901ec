"""A study from its configuration to its tested winner: search, slots, records, leaderboard, final test.

``search.run_search`` ties all of it together. Only this room knows Optuna and Dask, and only ``supervisor.py`` and
``storage.py`` speak to the Optuna study; ``worker.py`` and ``evaluate.py`` run in the slots.
"""
