# SPDX-License-Identifier: GPL-3.0-or-later
# The truth-telling targets. Their flags are their own: a sanitizer or another
# optimisation would change the very shapes that they describe.

LIVE_CFLAGS := -std=gnu11 -O1 -g -Wall -Wextra -D_FILE_OFFSET_BITS=64 -pthread
LIVE_DIR := $(B)/tests/live

LIVE_C := anon arenas file heap image kernel library limits many moving noguard \
	resident shared swap threads vast
# The same shapes in other kinds of program; what cannot be built is skipped.
LIVE_OTHER := static-anon static-threads static-image m32-anon m32-threads m32-heap \
	m32-arenas m32-image m32-shared musl-anon musl-image musl-threads server server-nocgo

LIVE_TARGETS := $(LIVE_C:%=$(LIVE_DIR)/%) $(LIVE_DIR)/plugin.so $(LIVE_OTHER:%=$(LIVE_DIR)/%)
LIVE_TESTS := tests/live/targets.sh tests/live/check.py tests/live/words.py
LIVE_TESTS_HEAVY := tests/live/heavy.sh

$(LIVE_C:%=$(LIVE_DIR)/%): $(LIVE_DIR)/%: tests/live/%.c tests/live/truth.h
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LIVE_CFLAGS) -o $@ $<

# Segments 2 MiB apart, so that the loader leaves gaps between them.
$(LIVE_DIR)/plugin.so: tests/live/plugin.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LIVE_CFLAGS) -shared -fPIC -Wl,-z,max-page-size=0x200000 -o $@ $<

$(LIVE_DIR)/static-%: tests/live/%.c tests/live/truth.h
	$(call say,CC,$@)
	@mkdir -p $(@D)
	-$(Q)$(CC) $(LIVE_CFLAGS) -static -o $@ $<

$(LIVE_DIR)/m32-%: tests/live/%.c tests/live/truth.h
	$(call say,CC,$@)
	@mkdir -p $(@D)
	-$(Q)$(CC) $(LIVE_CFLAGS) -m32 -o $@ $<

$(LIVE_DIR)/musl-%: tests/live/%.c tests/live/truth.h
	@mkdir -p $(@D)
	-@! command -v musl-gcc >/dev/null || musl-gcc $(LIVE_CFLAGS) -static -o $@ $<

LIVE_GO = GOCACHE='$(B_ABS)/tests/live/go-cache' GO111MODULE=off GOFLAGS= go build
$(LIVE_DIR)/server: tests/live/server.go
	$(call say,GO,$@)
	@mkdir -p $(@D)
	-$(Q)CGO_ENABLED=1 $(LIVE_GO) -o $@ $<
$(LIVE_DIR)/server-nocgo: tests/live/server.go
	$(call say,GO,$@)
	@mkdir -p $(@D)
	-$(Q)CGO_ENABLED=0 $(LIVE_GO) -o $@ $<
