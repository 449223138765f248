"""What a program costs: time, processor, memory, system calls.

Each is taken in a run of its own, so that the look at one does not cost another.
"""

import os
import re
import signal
import subprocess
import tempfile
import threading
import time

from place import find_program

SAMPLE_SEC = 0.005
FLUSHES = {"fsync", "fdatasync", "msync", "sync", "syncfs"}
FLUSHES_AT_ONCE = {"IOCB_CMD_FSYNC", "IOCB_CMD_FDSYNC"}  # as arguments of io_submit
CALL = re.compile(r"^\d+ +(\w+)\(|(IOCB_CMD_FD?SYNC)")


class Failed(Exception):
    pass


class Run:
    """One run of a program, in a session of its own so that it can be ended."""

    def __init__(self, place, program, prefix=(), as_user=True, limit_sec=600):
        self.log = tempfile.TemporaryFile()
        self.program = program
        self.usage = None
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [*prefix, *program.command()], env=program.environment(),
            cwd=program.home, stdin=subprocess.DEVNULL, stdout=self.log,
            stderr=self.log, start_new_session=True,
            **(place.as_user() if as_user else {}))
        self.pid = self.process.pid
        self.timer = threading.Timer(limit_sec, self._stop)
        self.timer.daemon = True
        self.timer.start()

    def _stop(self):
        os.killpg(self.pid, signal.SIGKILL)

    def poll(self, flags=os.WNOHANG):
        """True at the end. What children used that it waited for is in its usage."""
        pid, status, usage = os.wait4(self.pid, flags)
        if pid == 0:
            return False
        self.wall = time.monotonic() - self.began
        self.timer.cancel()
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.usage = usage
        return True

    def finish(self):
        if self.usage is None:
            self.poll(0)
        self.log.seek(0)
        self.output = self.log.read().decode(errors="replace")
        self.log.close()
        if not self.program.is_success(self.process.returncode):
            raise Failed(f"{self.program.name} ended with {self.process.returncode}:\n"
                         + self.output[-2000:])
        return self


def timed(place, program, limit_sec=600):
    """Wall time and processor time, in seconds."""
    run = Run(place, program, limit_sec=limit_sec).finish()
    return {"wall": run.wall, "cpu": run.usage.ru_utime + run.usage.ru_stime}


def _children(pid):
    found = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                found += [int(child) for child in file.read().split()]
    except OSError:
        pass  # it has just ended
    return found


def _private_dirty(pid):
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            for line in file:
                if line.startswith("Private_Dirty:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def _tree(pid):
    pids = [pid]
    for parent in pids:
        pids += _children(parent)
    return pids


def memory(place, program, limit_sec=600):
    """Private dirty bytes at their peak: of the whole tree, and of the largest
    process; for a program that forks workers, of the largest worker."""
    peak = {"memory": 0, "process_memory": 0}
    run = Run(place, program, limit_sec=limit_sec)
    while not run.poll():
        sizes = [_private_dirty(pid) for pid in _tree(run.pid)]
        peak["memory"] = max(peak["memory"], sum(sizes))
        workers = sizes[1:] if program.has_workers else sizes
        peak["process_memory"] = max([peak["process_memory"], *workers])
        time.sleep(SAMPLE_SEC)
    run.finish()
    return peak


def calls(place, program, limit_sec=600):
    """System calls of the whole tree, and how many flushes they ask for: one may
    ask for many at once."""
    with tempfile.NamedTemporaryFile("r", dir=place.disk, errors="replace") as trace:
        prefix = [find_program("strace"), "-f", "-s", "4096", "-e", "raw=!io_submit",
                  "-o", trace.name]
        if os.getuid() == 0:
            prefix += ["-u", place.user]
        Run(place, program, prefix, as_user=False, limit_sec=limit_sec).finish()
        names = [match.group(match.lastindex)
                 for line in trace for match in CALL.finditer(line)]
    return {"calls": sum(name not in FLUSHES_AT_ONCE for name in names),
            "flushes": sum(name in FLUSHES | FLUSHES_AT_ONCE for name in names)}
