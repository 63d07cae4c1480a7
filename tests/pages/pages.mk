# SPDX-License-Identifier: GPL-3.0-or-later
# Programs that know which of their pages, sections and symbols are in memory, and what compares memwhy
# with them. Flags are their own: another optimisation would move the very variables.

PAGES_DIR := $(B)/tests/pages
PAGES_PROGRAMS := $(PAGES_DIR)/touch $(PAGES_DIR)/touch-now $(PAGES_DIR)/libslots.so $(PAGES_DIR)/share \
	$(PAGES_DIR)/rawrollup
PAGES_TESTS := tests/pages/manual.sh tests/pages/sections.py tests/pages/saved.py tests/pages/at.py tests/pages/top.py
PAGES_CFLAGS := -std=gnu11 -O1 -g -Wall -Wextra

$(PAGES_DIR)/touch: tests/pages/touch.c $(PAGES_DIR)/libslots.so
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(PAGES_CFLAGS) -fPIE -pie -Wl,-z,lazy -o $@ $< -L$(@D) -lslots -Wl,-rpath,'$$ORIGIN'
$(PAGES_DIR)/touch-now: tests/pages/touch.c $(PAGES_DIR)/libslots.so
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(PAGES_CFLAGS) -fPIE -pie -Wl,-z,now -o $@ $< -L$(@D) -lslots -Wl,-rpath,'$$ORIGIN'
$(PAGES_DIR)/libslots.so: tests/pages/slots.c
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(PAGES_CFLAGS) -fPIC -shared -Wl,-z,lazy -o $@ $<
$(PAGES_DIR)/share $(PAGES_DIR)/rawrollup: $(PAGES_DIR)/%: tests/pages/%.c
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(PAGES_CFLAGS) -o $@ $<
