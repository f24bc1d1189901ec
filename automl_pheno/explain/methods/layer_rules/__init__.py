"""DeepLIFT rules, one a layer. Imported only where a network is explained, since it needs Keras.

To add a layer: write its rule in the module it belongs to, decorate it with its class, and add the layer to
``tests/explain/test_deeplift_layers.py``.
"""

import automl_pheno.explain.methods.layer_rules.attention
import automl_pheno.explain.methods.layer_rules.linear
import automl_pheno.explain.methods.layer_rules.merging
import automl_pheno.explain.methods.layer_rules.normalization
import automl_pheno.explain.methods.layer_rules.operators
import automl_pheno.explain.methods.layer_rules.pooling  # noqa: F401  all of these register rules
from automl_pheno.explain.methods.layer_rules.rules import RULES
from automl_pheno.explain.methods.layer_rules.tape import Paired, Tape
from automl_pheno.explain.methods.layer_rules.walk import check_layers, walk

__all__ = ["RULES", "Paired", "Tape", "check_layers", "walk"]
