# SPDX-License-Identifier: GPL-3.0-or-later
# The program that knows its faults. Its flags are its own: an optimisation would change what it touches.

FAULTS_DIR := $(B)/tests/faults
FAULTS_TARGETS := $(FAULTS_DIR)/truth $(if $(filter x86_64-%,$(shell $(CC) -dumpmachine)),$(FAULTS_DIR)/perfevents.so)
FAULTS_TESTS := tests/faults/check.py

tests/faults/check.py tests/pages/tlb.py: $(FAULTS_TARGETS)

$(FAULTS_DIR)/truth: tests/faults/truth.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -O1 -g -Wall -Wextra -pthread -o $@ $<
$(FAULTS_DIR)/perfevents.so: tests/faults/perfevents.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -O1 -Wall -Wextra -fPIC -shared -o $@ $<
