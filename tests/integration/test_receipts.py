"""Every deployment ends with exactly one receipt, which says what happened and verifies."""

import signal
import sys
from pathlib import Path

import pytest

from lab import wait_until

sys.path.append(str(Path(__file__).resolve().parent.parent / "crash"))

from disk import Journal, STATES, check_receipts, read_receipt  # noqa: E402  pylint: disable=wrong-import-position


def receipts(host):
    """In order; the chain and what each says of its record are checked, the signatures by the agent."""
    records = Journal(host.store / "state" / "journal").records()
    check_receipts(records)
    assert "verified" in host.run("audit").stdout
    return [read_receipt(record.receipt) for record in records if record.receipt]


def outcomes(host):
    return [STATES[receipt["outcome"]] for receipt in receipts(host)]


def settled(fleet):
    wait_until(lambda: fleet.fairlead("status", "--json").ndjson[0]["running"] is None, "it has ended")


def test_a_commit_a_failure_and_a_rollback(deployed):
    first = deployed.host.release
    deployed.repo.commit({"src/server.py": "raise SystemExit(1)\n"})
    deployed.deploy().exits(5)
    deployed.repo.git("reset", "-q", "--hard", "HEAD~1")
    deployed.repo.commit({"README.md": "# two\n"})
    deployed.deploy().exits(0)
    second = deployed.host.release
    deployed.fairlead("rollback").exits(0)
    assert outcomes(deployed.host) == ["committed", "rolled_back", "committed", "committed"]
    one, two, three, four = receipts(deployed.host)
    assert (one["from"], one["to"].hex()) == (b"", first)
    assert two["from"].hex() == first and two["code"] and b"web" in two["reason"]
    assert (three["from"].hex(), three["to"].hex()) == (first, second)
    assert (four["from"].hex(), four["to"].hex()) == (second, first)
    assert [receipt["number"] for receipt in (one, two, three, four)] == [1, 2, 3, 4]
    assert one["app"] == b"hello" and one["environment"] == b"production"
    [said] = deployed.fairlead("audit", "--json").exits(0).ndjson
    assert said["receipts"] == 4 and said["compared"] == 4


def test_an_aborted_deployment(deployed):
    """A host that cannot run the plan says no before anything is live."""
    config = (deployed.repo.path / "fairlead.yaml").read_text()
    deployed.repo.commit({"fairlead.yaml": config.replace("src/server.py", "src/nowhere.py")})
    deployed.deploy().exits(4)
    settled(deployed)
    assert outcomes(deployed.host) == ["committed", "aborted"]
    assert receipts(deployed.host)[1]["code"]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["term", "kill"])
def test_an_agent_that_ends_in_the_middle(deployed, how):
    """The new agent signs the end, once."""
    before = deployed.host.release
    config = (deployed.repo.path / "fairlead.yaml").read_text()
    deployed.repo.commit({"fairlead.yaml": config.replace("min_healthy: 200ms", "min_healthy: 1s")
                          + "strategy: { confirm_timeout: 2s }\n", "src/more.py": "\n"})
    _, coordinator = deployed.popen("deploy")
    wait_until(lambda: deployed.host.release != before, "the switch")
    coordinator.kill()
    coordinator.communicate()
    deployed.host.stop(how)
    deployed.host.start()
    settled(deployed)
    assert outcomes(deployed.host) == ["committed", "rolled_back"]
    for _ in range(2):
        deployed.host.stop()
        deployed.host.start()
    assert outcomes(deployed.host) == ["committed", "rolled_back"]
    # The coordinator died before it heard of it; the audit tells its ledger.
    assert [said["compared"] for said in deployed.fairlead("audit", "--json").exits(0).ndjson] == [1]
    assert [said["compared"] for said in deployed.fairlead("audit", "--json").exits(0).ndjson] == [2]
