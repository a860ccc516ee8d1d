"""Service logs are rotated and limited in size, survive faults, and are in a folder that is not uploaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from deploy import local
from deploy.service_logs import BACKUPS, FOLDER, MAX_BYTES, ServiceLog, rescue_old_logs


def lines_of(log: ServiceLog) -> list[str]:
    """Return all lines that are kept, oldest first."""
    files = sorted(log.path.parent.glob(f"{log.path.name}*"), reverse=True)  # .log.2, .log.1, .log
    return [line for path in files for line in path.read_text("utf-8").splitlines()]


def test_a_running_process_that_writes_much_leaves_a_few_files_of_bounded_size(tmp_path: Path) -> None:
    log = ServiceLog(tmp_path, "talker", max_bytes=2000, backups=2)
    code = "for number in range(1000): print(f'line {number:04}', flush=True)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        log.copy(process.stdout)
    log.close()
    files = list(tmp_path.iterdir())
    assert {path.name for path in files} == {"talker.log", "talker.log.1", "talker.log.2"}
    assert all(path.stat().st_size <= 2000 for path in files)
    kept = lines_of(log)
    assert len(kept) > 400
    assert kept == [f"line {number:04}" for number in range(1000 - len(kept), 1000)]


def test_a_line_without_an_end_is_cut_into_pieces(tmp_path: Path) -> None:
    log = ServiceLog(tmp_path, "talker")
    with subprocess.Popen([sys.executable, "-c", "print('x' * 200_000)"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        log.copy(process.stdout)
    assert [len(line) for line in lines_of(log)] == [65536, 65536, 65536, 200_000 - 3 * 65536]


def test_bytes_that_are_not_text_do_not_end_the_log(tmp_path: Path) -> None:
    log = ServiceLog(tmp_path, "talker")
    code = r"import sys; sys.stdout.buffer.write(b'\xff\xfe\nafter\n')"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        log.copy(process.stdout)
    assert lines_of(log)[-1] == "after"


def test_a_full_disk_does_not_stop_the_service(tmp_path: Path) -> None:
    (tmp_path / "talker.log").symlink_to("/dev/full")
    log = ServiceLog(tmp_path, "talker")
    code = "for number in range(20_000): print('a line that has no room')"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        log.copy(process.stdout)
    assert process.returncode == 0
    assert log.tail()[-1] == "a line that has no room"


def test_logs_of_an_earlier_release_leave_the_folder_that_is_uploaded(tmp_path: Path) -> None:
    for folder in ("logs", ".logs_queue", FOLDER):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mlflow.log").write_text(f"from {folder}\n")
    (tmp_path / "logs" / "dagster-daemon.log").write_text("old daemon\n")
    (tmp_path / "logs" / "event.log").write_text("Dagster's own\n")
    rescue_old_logs(tmp_path)
    rescue_old_logs(tmp_path)
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["event.log"]
    assert not list((tmp_path / ".logs_queue").iterdir())
    kept = tmp_path / FOLDER
    assert (kept / "mlflow.log").read_text().splitlines() == [f"from {FOLDER}", "from logs", "from .logs_queue"]
    assert (kept / "dagster-daemon.log").read_text() == "old daemon\n"


def test_only_the_end_of_a_large_old_log_is_kept(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "mlflow.log").write_text("".join(f"line {number:04}\n" for number in range(1000)))
    rescue_old_logs(tmp_path, max_bytes=3000)
    files = list((tmp_path / FOLDER).iterdir())
    assert sum(path.stat().st_size for path in files) <= 3000
    assert (tmp_path / FOLDER / "mlflow.log").read_text().endswith("line 0999\n")


def test_a_home_with_old_logs_is_cleared_when_it_is_prepared(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "dagster-webserver.log").write_text("old\n")
    local.prepare_home(tmp_path)
    assert not (tmp_path / "logs" / "dagster-webserver.log").exists()
    assert (tmp_path / FOLDER / "dagster-webserver.log").read_text() == "old\n"


def test_the_logs_of_all_services_together_stay_below_a_bound_that_is_documented() -> None:
    megabytes = MAX_BYTES * (BACKUPS + 1) // 1_000_000
    assert f"at most {megabytes} MB for each" in (local.ROOT / "docs" / "operations.md").read_text("utf-8")
