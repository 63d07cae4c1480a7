# SPDX-License-Identifier: GPL-3.0-or-later
# Programs that know which of their pages, sections and symbols are in memory, and what compares memwhy
# with them. Flags are their own: another optimisation would move the very variables.

PAGES_DIR := $(B)/tests/pages
PAGES_PROGRAMS := $(PAGES_DIR)/touch $(PAGES_DIR)/touch-now $(PAGES_DIR)/libslots.so $(PAGES_DIR)/share $(PAGES_DIR)/fork \
	$(PAGES_DIR)/rawrollup $(PAGES_DIR)/shapes $(PAGES_DIR)/tables
PAGES_TESTS := tests/pages/sections.py tests/pages/names.py tests/pages/saved.py tests/pages/schema.py tests/pages/at.py tests/pages/tlb.py tests/pages/top.py
PAGES_TESTS_HEAVY := tests/pages/big.py
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
$(PAGES_DIR)/share $(PAGES_DIR)/fork $(PAGES_DIR)/rawrollup: $(PAGES_DIR)/%: tests/pages/%.c
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(PAGES_CFLAGS) -o $@ $<
$(PAGES_DIR)/shapes: tests/pages/shapes.cc
	$(call say,CXX,$@)
	@mkdir -p $(@D)
	$(Q)g++ -O1 -g -fno-toplevel-reorder -Wall -Wextra -fPIE -pie -o $@ $<
# What cannot be built is skipped.
$(PAGES_DIR)/tables: tests/pages/tables.rs
	@mkdir -p $(@D)
	-$(Q)if command -v rustc >/dev/null; then rustc -C opt-level=1 -C debuginfo=1 -o $@ $<; else echo "  no rustc: no $@"; fi
