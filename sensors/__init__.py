"""What starts runs: the jobs, the sensors that watch, the schedules and what is done about failures.

Decisions are pure functions in modules without Dagster (`plan`); the decorated functions only carry them out.
"""
