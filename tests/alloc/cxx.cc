// SPDX-License-Identifier: GPL-3.0-or-later
// cxx - operator new and delete in every form, bad_alloc and new_handler.
#include <cstdint>
#include <cstring>
#include <memory>
#include <map>
#include <new>
#include <string>
#include <thread>
#include <vector>
#include <malloc.h>

#include "tap.h"

extern "C" unsigned mw_alloc_check(void);

struct alignas(256) wide {
	char bytes[300];
};

static const size_t too_much = PTRDIFF_MAX;
static int handler_runs;

static void give_up()
{
	if (++handler_runs == 3)
		std::set_new_handler(nullptr);
}

static void throw_up()
{
	handler_runs++;
	throw std::bad_alloc();
}

static bool throws(size_t n)
{
	try {
		void *volatile p = operator new(n);
		operator delete(p);
	} catch (const std::bad_alloc &) {
		return true;
	}
	return false;
}

static bool aligned(const void *p, size_t a)
{
	return (reinterpret_cast<uintptr_t>(p) & (a - 1)) == 0;
}

static void test_forms()
{
	const std::align_val_t a{ 128 };
	void *p[8] = { operator new(10), operator new[](10), operator new(10, std::nothrow),
		       operator new[](10, std::nothrow), operator new(10, a), operator new[](10, a),
		       operator new(10, a, std::nothrow), operator new[](10, a, std::nothrow) };
	bool good = true;

	for (int i = 0; i < 8; i++) {
		good = good && p[i] && aligned(p[i], i < 4 ? 16 : 128);
		memset(p[i], 1, 10);
	}
	ok(good, "the eight forms of new");
	operator delete(p[0]);
	operator delete[](p[1], std::nothrow);
	operator delete(p[2], size_t(10));
	operator delete[](p[3], size_t(10));
	operator delete(p[4], a);
	operator delete[](p[5], size_t(10), a);
	operator delete(p[6], a, std::nothrow);
	operator delete[](p[7], a);
	auto *w = new wide;
	ok(aligned(w, 256), "an over-aligned class");
	delete w;
	auto *ws = new wide[10];
	ok(aligned(ws, 256), "an array of them");
	delete[] ws;
	free(operator new(100));
	ok(malloc_usable_size(operator new(100)) >= 100, "new and malloc share a heap");
}

static void test_failure()
{
	ok(throws(too_much), "new throws bad_alloc");
	ok(operator new(too_much, std::nothrow) == nullptr, "nothrow new returns null");
	std::set_new_handler(give_up);
	ok(throws(too_much) && handler_runs == 3, "the new_handler is asked until it gives up");
	std::set_new_handler(throw_up);
	handler_runs = 0;
	ok(throws(too_much) && handler_runs == 1, "a new_handler may throw bad_alloc");
	const std::align_val_t a{ 128 };
	ok(!operator new(too_much, std::nothrow) && !operator new[](too_much, std::nothrow) &&
		   !operator new(too_much, a, std::nothrow) && !operator new[](too_much, a, std::nothrow) &&
		   handler_runs == 5,
	   "which the nothrow forms turn into null");
	std::set_new_handler(nullptr);
	bool caught = false;
	try {
		std::vector<char> v(too_much / 2);
	} catch (const std::bad_alloc &) {
		caught = true;
	}
	ok(caught, "a vector's bad_alloc unwinds");
}

static void test_containers()
{
	std::vector<std::thread> threads;
	int good[4] = { 0 };

	for (int t = 0; t < 4; t++)
		threads.emplace_back([t, &good] {
			std::map<std::string, std::unique_ptr<std::string>> m;

			for (int i = 0; i < 20000; i++)
				m[std::to_string(i * 7919 % 3001)] =
					std::make_unique<std::string>(size_t(i % 300), 'x');
			good[t] = m.size() == 3001;
		});
	for (auto &t : threads)
		t.join();
	ok(good[0] && good[1] && good[2] && good[3], "containers in threads");
}

int main()
{
	test_forms();
	test_failure();
	test_containers();
	ok(mw_alloc_check() == 0, "invariants hold");
	return tap_done();
}
