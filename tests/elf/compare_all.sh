#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Every ELF file below /usr against readelf and eu-readelf.
exec "$(dirname "$0")/compare.py" --all
