#!/usr/bin/python3
"""small_disk.py DIR SIZE PROGRAM CONFIG: run an agent whose DIR is a file system of SIZE.

The disk ends with its namespace, so when the agent has ended (SIGTERM is passed on) its services are
stopped from inside. Exits with the agent's status.
"""

import signal
import subprocess
import sys

from namespaces import own_disk


def main():
    directory, size, program, config = sys.argv[1:]
    own_disk(directory, size)
    with subprocess.Popen([program, "run", "--config", config]) as agent:
        signal.signal(signal.SIGTERM, lambda *_: agent.terminate())
        status = agent.wait()
    subprocess.run([program, "stop-services", "--config", config], check=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
