"""The lineage graph: one module a stage, each a thin wrapper over a function of `drshym_pipeline`.

An asset finds its inputs through the artefact store, calls the science, leaves its files there and tells Dagster what
is worth looking at. Nothing of a scene's size passes through an IO manager.
"""
