#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Children that run until their limits, and thousands of files with damaged DWARF.
exec "$(dirname "$0")/dwarf_child.py" --slow --random 3000
