"""The lineage graph: thin wrappers over functions of `drshym_pipeline`.

An asset finds its inputs through the artefact store, calls the science, leaves its files in the store and shows the
important figures in Dagster. No raster passes through an IO manager.
"""
