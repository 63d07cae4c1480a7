#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Thousands of files with random damage.
exec "$(dirname "$0")/damaged.py" --random 4000
