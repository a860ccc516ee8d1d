"""The schedules. Off until someone turns them on: training takes hours and belongs to whoever pays for them."""

from dagster import DefaultScheduleStatus, ScheduleDefinition

from sensors.jobs import train_model

weekly_training = ScheduleDefinition(
    name="weekly_training",
    job=train_model,
    cron_schedule="0 2 * * 0",
    execution_timezone="UTC",
    default_status=DefaultScheduleStatus.STOPPED,
    description="Trains on Sundays at 02:00 UTC; the candidate waits for review as always.",
)
