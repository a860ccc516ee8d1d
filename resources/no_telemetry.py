"""The environment variables that switch off the telemetry of Dagster and MLflow.

Dagster's web server and daemon upload and delete files in `$DAGSTER_HOME/logs`, whatever `telemetry.enabled` says in
`dagster.yaml`; only an environment variable stops that. MLflow asks a server for its telemetry settings as soon as it
is imported.
"""

import os

SWITCHES = {
    "DAGSTER_DISABLE_TELEMETRY": "1",  # read by the uploader of the web server and of the daemon: any value stops it
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",  # read by MLflow too, and by other tools with telemetry
}


def switch_off() -> None:
    """Set the variables for this process and the processes it starts. Call this before MLflow is imported."""
    os.environ.update(SWITCHES)
