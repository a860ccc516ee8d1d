"""The schedule of the training. It is off until a user turns it on, because training takes hours."""

from dagster import DefaultScheduleStatus, ScheduleDefinition

from sensors.jobs import train_model

weekly_training = ScheduleDefinition(
    name="weekly_training",
    job=train_model,
    cron_schedule="0 2 * * 0",
    execution_timezone="UTC",
    default_status=DefaultScheduleStatus.STOPPED,
    description="Trains on Sundays at 02:00 UTC; the candidate then waits for review.",
)
