"""The deployments that are disturbed: what each begins from, and the command it is."""

from lab import wait_until

RELEASES = 4  # behind a warm host, so that the next one recycles the oldest


class Scenario:
    """`begin` brings a bed into the state before it; `args(bed)` gives fairlead's arguments and the
    revision that must be deployable after it has failed."""

    def __init__(self, begin, args):
        self.begin, self.args = begin, args


def begin_again(bed):
    if bed.tap.is_full:
        bed.host.stop()
        bed.tap.reset()
        bed.start_agent()


def begin_rollback(bed):
    """The first deployment leaves none to go back to."""
    begin_again(bed)
    if len(bed.verified) < 2:
        bed.deploy_calmly(bed.revision())
        wait_until(bed.settled, "there is a release to go back to")
        bed.quiet()


def update(bed):
    revision = bed.revision()
    return ["deploy", "--to", revision], revision


def fail(bed):
    """Its services start, and do not become healthy."""
    return ["deploy", "--to", bed.revision(), "-c", bed.failing], bed.revision()


def back(bed):
    return ["rollback"], bed.revision()


SCENARIOS = {
    "first": Scenario(lambda bed: bed.clear(), update),
    "update": Scenario(begin_again, update),
    "failing": Scenario(begin_again, fail),
    "rollback": Scenario(begin_rollback, back),
}


def warm(bed):
    """A host with a few releases behind it."""
    bed.start_agent()
    for _ in range(RELEASES):
        bed.deploy_calmly(bed.revision())
    wait_until(bed.settled, "the first deployments have ended")
    bed.quiet()
    return bed
