"""The jobs, sensors and schedules: what starts runs, and what happens after failures.

Decisions are pure functions in modules that do not import Dagster (`plan`); the sensors only carry them out.
"""
