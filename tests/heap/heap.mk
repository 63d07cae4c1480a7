# SPDX-License-Identifier: GPL-3.0-or-later
# memwhy run, heap and bench: the programs that they look at.

HEAP_DIR := $(B)/tests/heap
HEAP_CFLAGS := -std=gnu11 -O1 -g -Wall -Wextra -pthread
HEAP_TARGETS := $(HEAP_DIR)/books $(HEAP_DIR)/books-linked $(HEAP_DIR)/sites $(HEAP_DIR)/wrong.so $(HEAP_DIR)/hostile \
	$(HEAP_DIR)/private $(HEAP_DIR)/calls $(HEAP_DIR)/forged $(HEAP_DIR)/copies $(HEAP_DIR)/ownmalloc
HEAP_TESTS := tests/heap/heap.py tests/heap/run.sh tests/heap/bench.py tests/heap/bench_calls.py tests/heap/hostile.sh tests/heap/forged.py tests/heap/export.py tests/heap/core.py tests/heap/copies.py

$(HEAP_DIR)/books: tests/heap/books.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(HEAP_CFLAGS) -o $@ $<

$(HEAP_DIR)/books-linked: tests/heap/books.c $(B)/libmemwhy-malloc.a
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(HEAP_CFLAGS) -o $@ $< $(B)/libmemwhy-malloc.a

$(HEAP_DIR)/copies: tests/heap/copies.c
$(HEAP_DIR)/ownmalloc: tests/heap/copies.c tests/heap/wrong.c
$(HEAP_DIR)/copies $(HEAP_DIR)/ownmalloc:
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(HEAP_CFLAGS) -fno-builtin -rdynamic -o $@ $^ -ldl

$(HEAP_DIR)/private: tests/heap/private.c lib/alloc/memwhy-malloc.h $(B)/libmemwhy-malloc.so
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(HEAP_CFLAGS) -o $@ $< -L$(B) -lmemwhy-malloc -Wl,-rpath,'$$ORIGIN/../..'

$(HEAP_DIR)/calls: tests/heap/calls.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(HEAP_CFLAGS) -o $@ $<

# C++ names; skipped where there is no compiler.
$(HEAP_DIR)/sites: tests/heap/sites.cc
	$(call say,CXX,$<)
	@mkdir -p $(@D)
	-$(Q)g++ -O1 -g -Wall -o $@ $<

$(HEAP_DIR)/wrong.so: tests/heap/wrong.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -O1 -Wall -Wextra -fno-builtin -shared -fPIC -o $@ $<

$(HEAP_DIR)/hostile: tests/heap/hostile.c $(B)/libmemwhy.a
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(LDFLAGS) -Ilib -MMD -MP -o $@ $< $(B)/libmemwhy.a $(LIBS) -lpthread

$(HEAP_DIR)/forged: tests/heap/forged.c lib/alloc/abi.h
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(HEAP_CFLAGS) -Ilib -o $@ $<

-include $(HEAP_DIR)/hostile.d
