#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The targets' claims against the checker's own reading of /proc, memwhy left out.
exec "$(dirname "$0")/check.py" --self
