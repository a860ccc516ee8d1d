"""Keep the former place of `probability` for registered models, which import it from here.

MLflow keeps a copy of `resources/pyfunc_model.py` with every registered version and runs that copy when the version is
loaded. The copies that release 0.1.0 registered import `probability` from this module. New code imports it from
`drshym_pipeline.probabilities`.
"""

from __future__ import annotations

from drshym_pipeline.probabilities import probability

__all__ = ["probability"]
