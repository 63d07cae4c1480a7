#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# stress-long - the stress test for minutes, from a new seed each time.
exec "${BUILD:-build}/tests/alloc/stress" "${STRESS_SECONDS:-240}" "${STRESS_SEED:-$(date +%s)}" 8
