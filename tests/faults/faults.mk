# SPDX-License-Identifier: GPL-3.0-or-later
# The program that knows its faults. Its flags are its own: an optimisation would change what it touches.

FAULTS_DIR := $(B)/tests/faults
FAULTS_TARGETS := $(FAULTS_DIR)/truth
FAULTS_TESTS := tests/faults/check.py

tests/faults/check.py: $(FAULTS_TARGETS)

$(FAULTS_DIR)/truth: tests/faults/truth.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -O1 -g -Wall -Wextra -pthread -o $@ $<
