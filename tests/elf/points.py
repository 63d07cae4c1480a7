# SPDX-License-Identifier: GPL-3.0-or-later
"""Points of the Test Anything Protocol on standard output, numbered as they come."""
COUNT = FAILED = 0


def check(name, ok, why=''):
    global COUNT, FAILED
    COUNT += 1
    FAILED += not ok
    print('%sok %d - %s' % ('' if ok else 'not ', COUNT, name), flush=True)
    if not ok:
        print('# ' + str(why)[:1500].replace('\n', '\n# '))


def skip(name, why):
    global COUNT
    COUNT += 1
    print('ok %d - %s # SKIP %s' % (COUNT, name, why))


def end():
    """The plan; the exit status of the test."""
    print('1..%d' % COUNT)
    return 1 if FAILED else 0
