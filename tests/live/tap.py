# SPDX-License-Identifier: GPL-3.0-or-later
"""Test Anything Protocol, one point at a time."""

import sys


class Tap:
    def __init__(self, out=sys.stdout):
        self.out, self.count, self.failed, self.skipped = out, 0, 0, 0

    def _line(self, text):
        print(text, file=self.out, flush=True)

    def check(self, name, complaints):
        """One point: it passes when there is nothing to complain about."""
        self.count += 1
        self.failed += 1 if complaints else 0
        self._line(f"{'not ok' if complaints else 'ok'} {self.count} - {name}")
        for text in complaints[:40]:
            self._line(f"# {text}")
        return not complaints

    def skip(self, name, reason):
        self.count += 1
        self.skipped += 1
        self._line(f"ok {self.count} - {name} # SKIP {reason}")

    def note(self, text):
        self._line(f"# {text}")

    def end(self):
        self._line(f"1..{self.count}")
        return 1 if self.failed else 0
