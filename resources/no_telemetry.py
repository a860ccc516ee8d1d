"""The switches that keep Dagster and MLflow from reporting to their makers.

Dagster's web server and daemon upload and delete what lies in `$DAGSTER_HOME/logs`, whatever `telemetry.enabled` says
in `dagster.yaml`; only the environment stops that. MLflow asks a server for its telemetry settings as soon as it is
imported.
"""

import os

SWITCHES = {
    "DAGSTER_DISABLE_TELEMETRY": "1",  # read by the uploader of the web server and of the daemon: any value stops it
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",  # read by MLflow as well, and by other tools that report use
}


def switch_off() -> None:
    """Set the switches for this process and for those it starts; must run before MLflow is imported."""
    os.environ.update(SWITCHES)
