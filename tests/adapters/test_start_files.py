"""Files that record which steps began: when they prove that a step of a dead pod never began."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from pathlib import Path

import pytest

from fleet_q.adapters.sqlite import start_files
from fleet_q.adapters.sqlite.boot import boot_id
from fleet_q.adapters.sqlite.start_files import MOST_BYTES, RECORD_BYTES, StartFile, StartFiles
from fleet_q.core.errors import StartNotRecorded
from fleet_q.core.ports import Orphan
from fleet_q.core.step import Step
from tests.forking import Child

BEGUN = Orphan("begun", "token", "pod", "life", 0, 0, 2)
NOT_BEGUN = Orphan("not begun", "token", "pod", "life", 0, 0, 2)
BOTH = [BEGUN, NOT_BEGUN]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "jobs.db"
    path.touch()
    return path


@pytest.fixture
def files(path: Path) -> StartFiles:
    return StartFiles(path, boot=lambda: "boot")


@pytest.fixture
def file(files: StartFiles) -> StartFile:
    return opened(files)


def opened(files: StartFiles) -> StartFile:
    file = files.open("life")
    assert file is not None
    return file


def die(file: StartFile) -> None:
    """Close the file as the kernel does when the process is killed."""
    assert file._descriptor is not None
    os.close(file._descriptor)
    file._descriptor = None


def beside(path: Path) -> list[str]:
    return sorted(other.name for other in path.parent.iterdir() if other != path)


def step(step_id: str) -> Step:
    return Step(step_id, "claimed", 0, "{}", 0, 0, 0, 0, 0, "pod", "life", "token")


def test_steps_without_a_record_never_began(files: StartFiles, file: StartFile) -> None:
    file.add("begun", "token")
    die(file)

    assert files.never_began(BOTH) == {"not begun"}


def test_record_of_another_claim_does_not_count(files: StartFiles, file: StartFile) -> None:
    file.add("not begun", "earlier token")
    die(file)

    assert files.never_began(BOTH) == {"begun", "not begun"}


def test_steps_may_have_begun_while_their_process_lives(files: StartFiles, file: StartFile) -> None:
    """It may be suspended, and begin the step when it continues."""
    assert files.never_began(BOTH) == set()


def test_steps_may_have_begun_if_the_machine_was_rebooted(path: Path, file: StartFile) -> None:
    die(file)

    assert StartFiles(path, boot=lambda: "next boot").never_began(BOTH) == set()


def test_steps_may_have_begun_if_there_is_no_boot_id(path: Path, file: StartFile) -> None:
    die(file)
    files = StartFiles(path, boot=lambda: None)

    assert files.open("other life") is None
    assert files.never_began(BOTH) == set()


def test_steps_may_have_begun_if_there_is_no_file(files: StartFiles) -> None:
    assert files.never_began(BOTH) == set()


def test_steps_may_have_begun_if_the_file_is_a_copy(
    files: StartFiles, file: StartFile, path: Path
) -> None:
    """Steps that began after the copy was made are not in it."""
    die(file)
    original = path.parent / "jobs.db-begun-life"
    shutil.copy(original, path.parent / "copy")
    os.replace(path.parent / "copy", original)

    assert files.never_began(BOTH) == set()


@pytest.mark.parametrize("end", [b"x", b"x" * (RECORD_BYTES - 1)])
def test_steps_may_have_begun_if_a_record_is_truncated(
    files: StartFiles, file: StartFile, path: Path, end: bytes
) -> None:
    die(file)
    with open(path.parent / "jobs.db-begun-life", "ab") as damaged:
        damaged.write(end)

    assert files.never_began(BOTH) == set()


def test_incarnation_that_is_not_a_valid_file_name_has_no_start_file(files: StartFiles) -> None:
    assert files.open("../life") is None
    assert files.never_began([Orphan("a", "token", "pod", "../life", 0, 0, 2)]) == set()


@pytest.mark.parametrize("written", [-1, 0, 7])
def test_step_begins_and_its_file_is_dropped_if_a_record_cannot_be_written(
    files: StartFiles, file: StartFile, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    monkeypatch.setattr(start_files, "_write", lambda descriptor, record, size: written)

    file.add("begun", "token")

    assert not file.is_kept
    assert files.never_began(BOTH) == set()
    file.add("begun too", "token")


def test_no_step_begins_while_the_file_can_be_neither_written_nor_emptied_nor_removed(
    files: StartFiles, file: StartFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(start_files, "_write", lambda *args: -1)
        patch.setattr(os, "ftruncate", fail)
        patch.setattr(os, "unlink", fail)
        for _ in range(2):
            with pytest.raises(StartNotRecorded):
                file.add("not begun", "token")
    assert files.never_began(BOTH) == set()  # its process lives

    file.add("begun", "token")  # from here on the file proves nothing

    assert not file.is_kept
    assert files.never_began(BOTH) == set()


def test_folder_without_write_permission_is_no_error(
    files: StartFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> int:
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", fail)

    assert files.open("life") is None


def test_large_file_is_rewritten_with_the_steps_still_claimed(
    files: StartFiles, file: StartFile, path: Path
) -> None:
    for number in range(MOST_BYTES // RECORD_BYTES):
        file.add(f"ended {number}", "token")
    file.add("begun", "token")

    file.tidy([step("begun"), step("not begun")])

    assert (path.parent / "jobs.db-begun-life").stat().st_size < 500
    assert beside(path) == ["jobs.db-begun-life"]
    assert files.never_began(BOTH) == set()
    file.add("begun later", "token")
    die(file)
    later = Orphan("begun later", "token", "pod", "life", 0, 0, 2)
    assert files.never_began([*BOTH, later]) == {"not begun"}


def test_deleted_file_is_rewritten(files: StartFiles, file: StartFile, path: Path) -> None:
    file.add("begun", "token")
    (path.parent / "jobs.db-begun-life").unlink()
    file._next_check = 0.0

    file.tidy([step("begun"), step("not begun")])

    die(file)
    assert files.never_began(BOTH) == {"not begun"}


def test_truncated_file_is_dropped(files: StartFiles, file: StartFile, path: Path) -> None:
    os.truncate(path.parent / "jobs.db-begun-life", 0)
    file.add("begun", "token")
    file._size = MOST_BYTES

    file.tidy([step("begun")])

    assert not file.is_kept
    assert files.never_began(BOTH) == set()


def test_next_incarnation_has_a_file_of_its_own(
    files: StartFiles, file: StartFile, path: Path
) -> None:
    file.add("begun", "token")

    file.begin("next")
    file.add("begun", "next token")

    assert beside(path) == ["jobs.db-begun-next"]
    assert files.never_began(BOTH) == set()
    die(file)
    orphans = [Orphan(i, "next token", "pod", "next", 0, 0, 2) for i in ("begun", "not begun")]
    assert files.never_began(orphans) == {"not begun"}


def test_pod_that_leaves_removes_its_file_and_begins_no_more_steps(
    file: StartFile, path: Path
) -> None:
    file.close(is_needed=False)

    assert beside(path) == []
    with pytest.raises(StartNotRecorded):
        file.add("too late", "token")


def test_pod_that_could_not_release_its_steps_keeps_its_file(
    files: StartFiles, file: StartFile
) -> None:
    file.add("begun", "token")

    file.close(is_needed=True)

    assert files.never_began(BOTH) == {"not begun"}
    with pytest.raises(StartNotRecorded):
        file.add("not begun", "token")


def test_only_files_of_ended_processes_are_left_behind(
    files: StartFiles, file: StartFile, path: Path
) -> None:
    dead = files.open("dead")
    assert dead is not None
    die(dead)
    (path.parent / "jobs.db-begun-cut-off.new").touch()
    (path.parent / "jobs.db-begun-?").touch()

    assert files.left_behind() == ["cut-off", "dead"]
    files.remove(["cut-off", "dead", "life", "unknown"])

    assert beside(path) == ["jobs.db-begun-?", "jobs.db-begun-life"]


def test_child_of_a_fork_begins_no_step_and_leaves_the_lock_to_its_parent(
    files: StartFiles, file: StartFile
) -> None:
    def add() -> None:
        file.add("child's", "token")

    assert "StartNotRecorded" in Child(add).ended()
    assert files.never_began(BOTH) == set()
    file.add("begun", "token")
    die(file)
    assert files.never_began(BOTH) == {"not begun"}


def test_threads_can_record_at_once(files: StartFiles, file: StartFile) -> None:
    def work(thread: int) -> None:
        for number in range(100):
            file.add(f"{thread} {number}", "token")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    die(file)

    keys = [(thread, number) for thread in range(4) for number in range(100)]
    orphans = [Orphan(f"{t} {n}", "token", "pod", "life", 0, 0, 2) for t, n in keys]
    assert files.never_began([*orphans, NOT_BEGUN]) == {"not begun"}


def test_boot_id_is_known_and_stays_the_same() -> None:
    assert boot_id() == boot_id() is not None
