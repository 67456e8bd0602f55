"""Where in a deployment something happens, as the proxy can tell it."""

from proxy import At

# Bytes of the handshake: docs/protocol.md. The first record after it is the stream's header.
HELLO_UP, PROOF_UP, REPLY_DOWN, HEADER = 4 + 33, 4 + 112, 4 + 145, 4 + 24


def during(lane, direction, *states):
    return At(direction, when=lambda: lane.state() in states)


PHASES = {
    "handshake": lambda lane: At("up", byte=HELLO_UP + 50),
    "reply": lambda lane: At("down", byte=70),
    "describe": lambda lane: At("up", byte=HELLO_UP + PROOF_UP + HEADER + 20),
    "description": lambda lane: At("down", byte=REPLY_DOWN + HEADER + 40),
    "transfer": lambda lane: At("up", byte=200_000),
    "prepared": lambda lane: during(lane, "down", "staged", "prepared"),
    "activate": lambda lane: during(lane, "up", "prepared"),
    "activated": lambda lane: during(lane, "down", "switched", "restarted", "healthy"),
    "confirm": lambda lane: during(lane, "up", "healthy"),
}


def random_point(dice):
    """Any byte of a deployment; most bytes are of the transfer, so most points are kept out of it."""
    direction = dice.choice(["up", "down"])
    most = dice.choice([500, 5000, 620_000] if direction == "up" else [400, 3000])
    return At(direction, byte=dice.randrange(most))
