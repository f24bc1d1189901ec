"""The Optuna study of a run: a journal file of its own, or a database that several supervisors share."""
