"""The coordinator is killed at an exact point of a deployment over three hosts; then somebody takes it up, or nobody."""

import base64
import os
import random
import signal

import pytest

from lab import children, wait_until
from pace import Paced, assert_each_once, events, phase, state

NEW = "Hello again"
BIG = 2_000_000  # bytes that do not compress: more than the link takes at once
PATIENT = "strategy: { lease: 300s, activate_timeout: 120s, confirm_timeout: 120s }\n"
HASTY = "strategy: { lease: 3s, activate_timeout: 30s, confirm_timeout: 3s }\n"


@pytest.fixture(autouse=True)
def _needs_pace(build_dir):
    if not (build_dir / "tools" / "pace.so").exists():
        pytest.skip("nothing can be preloaded under a sanitizer")


def change(fleet, strategy=PATIENT, files=None):
    """Commit a new page under the strategy; what is deployed next."""
    config = (fleet.repo.path / "fairlead.yaml").read_text()
    fleet.repo.replace("src/page.html", "Hello from Fairlead", NEW)
    return fleet.repo.commit({"fairlead.yaml": config + strategy, **(files or {})})


def first_preparing(line):
    return phase("preparing")(line)


def in_transfer(line):
    return phase("sending")(line) and line["done"] < line["total"]


# Where it is killed, and whether a host may have been switched by then.
POINTS = {
    "before prepare": first_preparing,
    "during transfer": in_transfer,
    "one prepared": state("prepared"),
    "all prepared": phase("activating"),
    "one switched": state("switched"),
    "one healthy": state("healthy"),
    "healthy before confirm": phase("confirming"),
}


def kill_at(fleet, point, strategy=PATIENT):
    files = {"src/big.bin": random.Random(1).randbytes(BIG)} if point == "during transfer" else {}
    change(fleet, strategy, files)
    coordinator = Paced(fleet, "deploy")
    coordinator.run_until(POINTS[point])
    return coordinator.kill()


def said_id(lines):
    """The beginning of the deployment's id, as it is said."""
    [said] = [line["message"] for line in lines if line["event"] == "say"
              and line["message"].startswith("deployment ")]
    return said.split()[1]


def assert_new(fleet):
    assert len(set(fleet.releases())) == 1
    for host in fleet.hosts:
        assert NEW in host.get()[1], host.name
    assert fleet.fairlead("status", "--json").exits(0)


def names(fleet):
    return [host.name for host in fleet.hosts]


@pytest.mark.parametrize("point", POINTS)
def test_resume_finishes_and_shows_every_event_once(three, point, tally):
    before = kill_at(three, point)
    resumed = three.fairlead("resume", "--json").exits(0)
    assert resumed.ndjson[-1]["outcome"] == "committed"
    assert_new(three)
    assert_each_once(before, resumed.ndjson, names(three))
    tally["coordinators killed"] += 1
    # And it is over: for the hosts, and for the ledger.
    three.fairlead("resume").exits(0).says("nothing to do")
    assert {row["outcome"] for row in three.fairlead("history", "--json").exits(0).json} == {"committed"}


@pytest.mark.parametrize("point", POINTS)
def test_the_same_deploy_again_takes_it_up(three, point, tally):
    before = kill_at(three, point)
    again = three.fairlead("deploy", "--json").exits(0)
    assert_new(three)
    tally["coordinators killed"] += 1
    if point in ("before prepare", "during transfer"):
        return  # perhaps no host knew it yet, and then it is a new one
    assert_each_once(before, again.ndjson, names(three))
    ids = {line["message"] for line in before + again.ndjson
           if line["event"] == "say" and line["message"].startswith("deployment ")}
    assert len(ids) == 1


def test_the_same_deploy_again_leaves_a_coordinator_alone_that_is_there(three):
    change(three)
    coordinator = Paced(three, "deploy")
    coordinator.run_until(POINTS["one prepared"])
    three.deploy().exits(3).says("is deploying", "fairlead resume")
    assert coordinator.finish() == 0, coordinator.lines
    assert_new(three)


def settled(fleet):
    statuses = fleet.fairlead("status", "--json").exits(0).ndjson
    return all(status["running"] is None for status in statuses)


@pytest.mark.parametrize("point", POINTS)
def test_without_anybody_the_hosts_end_on_the_old_release(three, point, tally):
    old = three.releases()
    kill_at(three, point, HASTY)
    wait_until(lambda: settled(three), "the hosts have ended it by themselves", timeout=90)
    assert three.releases() == old
    for host in three.hosts:
        assert "Hello from Fairlead" in host.get()[1]
    tally["coordinators killed"] += 1
    # What became of it is told, not guessed: nothing was live before all had prepared.
    ended = three.fairlead("resume")
    assert ended.status in (0, 4, 5), ended
    three.deploy().exits(0)
    assert_new(three)


def partly_confirmed(fleet):
    """web1 and web2 have committed, web3 could not be told; the coordinator is dead."""
    change(fleet)
    coordinator = Paced(fleet, "deploy")
    coordinator.run_until(phase("confirming"))
    last = fleet.hosts[2]
    gateway = children(last.agent.pid)["fairlead-gateway"]
    last.agent.send_signal(signal.SIGSTOP)
    os.kill(gateway, signal.SIGKILL)
    coordinator.go_on()
    committed = set()

    def both(line):
        if state("committed")(line):
            committed.add(line["host"])
        return committed == {"web1", "web2"}
    coordinator.run_until(both)
    lines = coordinator.kill()
    last.agent.send_signal(signal.SIGCONT)
    wait_until(lambda: fleet.fairlead("status").status == 0, "web3 is back")
    return lines


def test_resume_confirms_the_hosts_that_are_left(three):
    before = partly_confirmed(three)
    resumed = three.fairlead("resume", "--json").exits(0)
    assert_new(three)
    assert_each_once(before, resumed.ndjson, names(three))


def another_one(fleet, host, text="Something else", ledger=None):
    """Somebody deploys something else to this host alone."""
    fleet.repo.commit({"src/page.html": f"<h1>{text}, visited {{visits}} times</h1>\n"})
    fleet.deploy("-l", host.name, *(["--ledger", ledger] if ledger else [])).exits(0)


def ends(fleet):
    """How the second deployment of the ledger ended on each host."""
    return {host["host"]: host["state"] for host in fleet.fairlead("history", "--json").exits(0).json[-2]["hosts"]}


@pytest.mark.parametrize("verb", ["resume", "abort"])
def test_a_host_that_has_gone_on_to_another_one_is_known_by_its_journal(three, verb):
    partly_confirmed(three)
    gone_on, left = three.hosts[0], three.hosts[2]
    another_one(three, gone_on)
    release = gone_on.release
    if verb == "abort":
        three.fairlead("abort").exits(4).says("too late to abort: host 'web", "committed already")
        three.fairlead("status").says("healthy")
    three.fairlead("resume").exits(0).says("web1: committed there, as its journal says")
    assert gone_on.release == release, "it is not brought back"
    assert NEW in left.get()[1]
    assert ends(three) == {"web1": "committed", "web2": "committed", "web3": "committed"}
    three.fairlead("audit").exits(0)


def test_what_no_journal_tells_is_not_known(make_fleet):
    """The old pages of its journal are dropped, and with them how it ended."""
    fleet = make_fleet(hosts=3)
    fleet.host.write_config(journal={"segment": 1, "keep": 1})
    fleet.start().deploy().exits(0)
    partly_confirmed(fleet)
    for number in range(4):
        another_one(fleet, fleet.host, f"Number {number}")
    resumed = fleet.fairlead("resume").exits(6)
    resumed.says("web1", "has since deployed", "does not tell how this deployment ended", "fairlead audit web1")
    assert ends(fleet)["web1"] == "lost", "no word for what nobody knows"


def test_nothing_is_deployed_on_top_of_what_came_after(three, tmp_path):
    change(three)
    coordinator = Paced(three, "deploy")
    asked = coordinator.run_until(state("accepted"))["host"]
    coordinator.kill()
    old = three.releases()
    # The others were not: they wait for its word.
    overtaken = next(host for host in three.hosts if host.name != asked)
    # From another machine: the ledger here still says that it runs.
    another_one(three, overtaken, ledger=tmp_path / "elsewhere.db")
    expected = [host.release if host is overtaken else before for host, before in zip(three.hosts, old)]
    three.fairlead("resume").exits(4).says(overtaken.name, "has since deployed")
    assert three.releases() == expected


def test_abort_is_too_late_when_a_host_has_committed(three):
    partly_confirmed(three)
    three.fairlead("abort").exits(4).says("too late", "resume")
    three.fairlead("resume").exits(0)
    assert_new(three)


def test_resume_by_a_prefix_of_the_id(three):
    before = kill_at(three, "all prepared")
    prefix = said_id(before)[:6]
    three.fairlead("resume", "f" * 12).exits(2).says("f" * 12)
    three.fairlead("resume", "not-an-id").exits(2)
    three.fairlead("resume", prefix).exits(0)
    assert_new(three)
    # Once more it only tells how it ended.
    three.fairlead("resume", prefix).exits(0)


@pytest.mark.parametrize("point", ["one prepared", "all prepared", "one healthy"])
def test_resume_from_another_machine(three, tmp_path, point):
    """What the hosts say is enough; what only the ledger knows is said to be unknown."""
    kill_at(three, point)
    resumed = three.fairlead("resume", "--json", "--ledger", tmp_path / "elsewhere.db").exits(0)
    assert "not known" in resumed.out
    assert_new(three)
    # Everything the hosts have kept of it, in order and without a hole.
    numbers, again = events(resumed.ndjson)
    assert not again
    for host in names(three):
        assert numbers[host] == list(range(numbers[host][0], numbers[host][-1] + 1))


def test_a_host_that_cannot_go_on_takes_the_others_back(three):
    old = three.releases()
    kill_at(three, "all prepared", HASTY.replace("lease: 3s", "lease: 60s"))
    # Its agent is stopped for good: nobody knows what it runs.
    three.hosts[2].stop()
    three.fairlead("resume").exits(6).says("web3", "not known")
    assert three.releases()[:2] == old[:2]
    three.hosts[2].start()
    wait_until(lambda: settled(three), "web3 has ended it", timeout=90)
    assert three.releases() == old


def test_another_plan_is_refused_while_one_runs(three):
    kill_at(three, "healthy before confirm")
    three.repo.commit({"src/page.html": "<h1>Something else</h1>\n"})
    three.deploy().exits(3).says("resume", "abort", "healthy")
    three.fairlead("abort").exits(0)
    assert settled(three)


def test_a_rollback_is_taken_up_too(three):
    change(three)
    three.deploy().exits(0)
    newer = three.releases()
    coordinator = Paced(three, "rollback")
    coordinator.run_until(phase("activating"))
    before = coordinator.kill()
    resumed = three.fairlead("resume", "--json").exits(0)
    assert_each_once(before, resumed.ndjson, names(three))
    assert all(new != old for new, old in zip(newer, three.releases()))


def test_an_event_that_may_have_been_shown_is_marked(three):
    """Killed between saying a line and noting that it was said."""
    change(three)
    coordinator = Paced(three, "deploy")
    coordinator.run_until(state("prepared", "web1"))
    before = coordinator.kill()
    resumed = three.fairlead("resume", "--json").exits(0)
    _, again = events(resumed.ndjson)
    assert again["web1"], "it stopped before it could note that"
    assert_each_once(before, resumed.ndjson, names(three))


def test_events_that_are_lost_are_said_to_be(three):
    before = kill_at(three, "all prepared")
    host = three.hosts[0]
    host.stop()
    (host.store / "state" / "events").unlink()
    host.start()
    resumed = three.fairlead("resume", "--json").exits(0).ndjson
    gaps = [line for line in resumed if line.get("missed")]
    assert {line["host"] for line in gaps} == {"web1"}
    # Numbers go on above all that were used.
    shown, _ = events(before)
    then, _ = events([line for line in resumed if not line.get("missed")])
    assert min(then["web1"]) > gaps[0]["number"] - 1 and gaps[0]["number"] > max(shown["web1"])
    assert_new(three)
