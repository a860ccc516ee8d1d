"""What assets and sensors are handed: the watched folder, the artefact store, the model registry, the inference engine.

Each is a small configurable object over one outside thing. How floods are mapped stays in `drshym_pipeline`; which
asset calls what stays in `assets`. Heavy libraries are imported inside methods, so that the code location loads fast.
"""

from resources.no_telemetry import switch_off

# Here, because every process that loads the code location or imports MLflow for us comes by.
switch_off()
