"""The resources of assets and sensors: watched folder, artefact store, model registry, inference engine.

Each resource is a small configurable object for one thing outside the code. Floods are mapped in `drshym_pipeline`; the
assets in `assets` decide what is called. Heavy libraries are imported inside methods, so that the code location loads
fast.
"""

from resources.no_telemetry import switch_off

# Done here because every process that loads the code location, or imports MLflow for it, imports this module.
switch_off()
