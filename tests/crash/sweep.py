"""Many cases on several hosts at once: what a disturbed host does is mostly waiting."""

import itertools
import os
import threading
from concurrent.futures import ThreadPoolExecutor

# Waiting is most of a case; workers of pytest-xdist bring beds of their own.
BEDS = 3 if "PYTEST_XDIST_WORKER" in os.environ else 8
ENOUGH = 5  # failures, then a sweep ends early
REPLAY = "/usr/bin/python3 -B -m pytest tests/crash --presets {} --replay '{}'"


def throw_away(bed):
    """After a failure anything may be wrong with it, and what was wrong has been said."""
    try:
        bed.close()
    except Exception:  # pylint: disable=broad-except
        pass


class Sweep:
    """Cases, each with `suffer(bed)`, taken by several beds; `new_bed(directory)` makes one."""

    def __init__(self, directory, new_bed, cases, preset):
        self.directory, self.new_bed, self.preset = directory, new_bed, preset
        self.cases, self.beds = iter(cases), min(BEDS, len(cases))
        self.lock, self.names = threading.Lock(), itertools.count()
        self.failures, self.results = [], []

    def bed(self):
        with self.lock:
            name = next(self.names)
        return self.new_bed(self.directory / f"bed{name:04}")

    def next(self):
        with self.lock:
            return None if len(self.failures) >= ENOUGH else next(self.cases, None)

    def fail(self, case, problem, bed):
        with self.lock:
            self.failures.append(f"{case}: {problem}\n{bed.story()}\n"
                                 f"replay: {REPLAY.format(self.preset, case)}")

    def work(self):
        bed = self.bed()
        while case := self.next():
            try:
                result = case.suffer(bed)
            except Exception as problem:  # pylint: disable=broad-except  # of a thread
                self.fail(case, problem, bed)
                throw_away(bed)
                bed = self.bed()
                continue
            with self.lock:
                self.results.append((case, result))
        bed.close()

    def run(self):
        """The results by case, when none has failed."""
        with ThreadPoolExecutor(max(self.beds, 1)) as pool:
            for worker in [pool.submit(self.work) for _ in range(self.beds)]:
                worker.result()
        assert not self.failures, "\n\n".join(self.failures)
        return self.results
