#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The groups that need minutes or gigabytes.
exec "$(dirname "$0")/check.py" --heavy
