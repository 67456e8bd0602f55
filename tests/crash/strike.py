"""The other side of crash.c: how many durable acts there were, and at which one to strike."""

import mmap
import struct

ACTS_MAX, ACT_SIZE, HEAD = 65536, 64, 16
HOW = ("before", "after", "torn")


class Strike:
    """The tap of a CrashBed: `path` is the control file."""

    def __init__(self, path, tools):
        self.path, self.library = path, tools / "crash.so"
        with path.open("w+b") as file:
            file.truncate(HEAD + ACTS_MAX * ACT_SIZE)
            self.map = mmap.mmap(file.fileno(), 0)

    @property
    def env(self):
        return {"LD_PRELOAD": str(self.library), "FAIRLEAD_CRASH_CONTROL": str(self.path)}

    def word(self, index, value=None):
        if value is not None:
            struct.pack_into("<I", self.map, 4 * index, value)
        return struct.unpack_from("<I", self.map, 4 * index)[0]

    @property
    def count(self):
        return self.word(0)

    @property
    def is_full(self):
        """The acts to come may have no room for their names."""
        return self.count > ACTS_MAX * 3 // 4

    def reset(self):
        """Only while no agent runs, so that the names of the acts have room."""
        self.word(0, 0)
        self.disarm()

    def disarm(self):
        self.word(1, 0)
        self.word(3, 0)

    def arm(self, acts, how):
        """Strike at the act that is so many acts from now."""
        self.word(3, 0)
        self.word(2, HOW.index(how))
        self.word(1, self.count + acts)

    @property
    def struck(self):
        return self.word(3) != 0

    def act(self, number):
        at = HEAD + (number - 1) * ACT_SIZE
        return self.map[at:at + ACT_SIZE].split(b"\0")[0].decode(errors="replace")

    @property
    def last_act(self):
        return self.act(self.word(1))

    def acts(self, first=1):
        return [self.act(number) for number in range(first, self.count + 1)]
