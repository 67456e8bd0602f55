"""`fairlead` at a real terminal: what is typed, and what is on the screen."""

import fcntl
import os
import pty
import subprocess
import termios

from lab import wait_until


class Terminal:
    def __init__(self, fleet, *args):
        self.master, slave = pty.openpty()
        os.set_blocking(self.master, False)
        command = [fleet.bin / "fairlead", *args, "-i", fleet.inventory, "--key", fleet.key_file]

        def take_terminal():
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        # pylint: disable=subprocess-popen-preexec-fn
        self.process = subprocess.Popen(
            command, cwd=fleet.repo.path, env={**fleet.env, "TERM": "xterm"}, stdin=slave, stdout=slave,
            stderr=slave, start_new_session=True, preexec_fn=take_terminal)
        os.close(slave)
        self.screen = ""

    def read(self):
        try:
            self.screen += os.read(self.master, 1 << 16).decode(errors="replace")
        except (BlockingIOError, OSError):
            pass  # nothing new; or the other end is closed
        return self.screen

    def wait_for(self, text, times=1):
        wait_until(lambda: self.read().count(text) >= times or self.process.poll() is not None,
                   f"the screen shows {text!r}: {self.screen!r}")
        assert self.screen.count(text) >= times, self.screen

    def type(self, keys):
        os.write(self.master, keys.encode())

    def ends(self):
        def ended():
            self.read()  # so that it never waits for the screen
            return self.process.poll() is not None
        wait_until(ended, f"it ends: {self.screen!r}", timeout=90)
        self.read()
        os.close(self.master)
        return self.process.returncode
