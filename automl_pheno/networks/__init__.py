"""From a concrete configuration to a ``keras.Model``.

A new block is a class in ``space/config.py``, its size in ``space/size.py`` and a builder in ``networks/blocks.py``.
"""

from automl_pheno.networks.build import average, build, build_for_training, dropout_places

__all__ = ["average", "build", "build_for_training", "dropout_places"]
