"""Whatever the network does in whichever phase, a deployment ends in a declared outcome within its deadline, the host
says the same, and the next deployment works.

A failure prints how to replay it:  /usr/bin/python3 -m pytest tests/network --network-replay 'reset@transfer'
"""

import itertools
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from phases import PHASES, random_point
from proxy import FAULTS, SILENT, Fault

LANES = 16     # a run is mostly waited for
PARTS = 4      # for tests that run side by side
ENOUGH = 3     # failures, then the others are left out


class Case:
    def __init__(self, name, fault, phase, may_miss=False):
        self.name, self.fault, self.phase, self.may_miss = name, fault, phase, may_miss

    def __str__(self):
        return self.name

    def suffer(self, lane):
        lane.change()
        fault = Fault(self.fault, self.phase(lane))
        lane.proxy.suffer(fault)
        result = lane.deploy_proxied()
        try:
            assert fault.begun or self.may_miss, "the fault did not come about"
            lane.check(result)
            lane.recover()
        except AssertionError as problem:
            raise AssertionError(f"{problem}\n{result}") from problem


def named_cases():
    return [Case(f"{fault}@{phase}", fault, PHASES[phase]) for fault, phase in itertools.product(FAULTS, PHASES)]


def seeded_case(seed):
    """Any fault at any byte."""
    dice = random.Random(seed)
    fault, point = dice.choice(sorted(FAULTS)), random_point(dice)
    return Case(f"seed {seed}", fault, lambda lane: point, may_miss=True)


def run_all(cases, make_lane, tally):
    """Several lanes side by side; the longest cases first."""
    left = iter(sorted(cases, key=lambda case: case.fault not in SILENT))
    lock, failures = threading.Lock(), []

    def next_case():
        with lock:
            return None if len(failures) >= ENOUGH else next(left, None)

    def work():
        with lock:
            lane = make_lane()
        while case := next_case():
            try:
                case.suffer(lane)
            except Exception as problem:  # pylint: disable=broad-except  # of a thread
                with lock:
                    failures.append(f"{case}: {problem}\nreplay: /usr/bin/python3 -m pytest tests/network "
                                    f"--network-replay '{case}'")
                return
            with lock:
                tally["network runs"] += 1

    with ThreadPoolExecutor(LANES) as pool:
        for worker in [pool.submit(work) for _ in range(min(LANES, len(cases)))]:
            worker.result()
    assert not failures, "\n\n".join(failures)


@pytest.mark.parametrize("part", range(PARTS))
def test_faults_in_every_phase_and_at_random(make_lane, tally, part, pytestconfig):
    seeds = range(part, pytestconfig.getoption("--network-seeds"), PARTS)
    run_all(named_cases()[part::PARTS] + [seeded_case(seed) for seed in seeds], make_lane, tally)


def test_replay(make_lane, tally, pytestconfig):
    wanted = pytestconfig.getoption("--network-replay")
    cases = {case.name: case for case in named_cases()}
    run_all([cases[wanted] if wanted in cases else seeded_case(int(wanted.split()[1]))], make_lane, tally)
