/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "size.h"

#include "digits.h"

#include <stdio.h>
#include <string.h>

static const char *const iec[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
static const char *const si[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB" };

/* The decimal digits of v; returns what follows them. */
static char *put_dec(char *to, uint64_t v)
{
	char digits[MW__DIGITS], *end = digits + sizeof(digits), *p = mw__dec_back(end, v);

	memcpy(to, p, (size_t)(end - p));
	return to + (end - p);
}

/*
 * The same as scaled(), without printf: a long table has hundreds of thousands of sizes. v is below 2^56, so that
 * nothing overflows, and halves are rounded to even as printf does it.
 */
static const char *scaled_iec(uint64_t v, char *buf)
{
	unsigned i = 0;

	while (i < 5 && v * 20 >= (UINT64_C(20479) << 10 * i))	/* 1023.95 */
		i++;
	uint64_t unit = UINT64_C(1) << 10 * i, tenths = v * 10 / unit, rest = v * 10 % unit * 2;

	if (rest > unit || (rest == unit && tenths & 1))
		tenths++;
	char *p = put_dec(buf, tenths / 10);

	if (i) {
		*p++ = '.';
		*p++ = (char)('0' + tenths % 10);
	}
	*p++ = ' ';
	strcpy(p, iec[i]);
	return buf;
}

static const char *scaled(uint64_t bytes, unsigned base, const char *const *unit, char *buf)
{
	double v = (double)bytes;
	unsigned i = 0;

	/* 1023.95 would print as 1024.0: go up one unit before that */
	while (i < 6 && v >= base - 0.05) {
		v /= base;
		i++;
	}
	if (i == 0)
		snprintf(buf, MW__SIZE_TEXT, "%llu B", (unsigned long long)bytes);
	else
		snprintf(buf, MW__SIZE_TEXT, "%.1f %s", v, unit[i]);
	return buf;
}

const char *mw__size_text(uint64_t bytes, enum mw_unit unit, char buf[static MW__SIZE_TEXT])
{
	if (bytes == MW_UNKNOWN) {
		snprintf(buf, MW__SIZE_TEXT, "-");
		return buf;
	}
	switch (unit) {
	case MW_UNIT_BYTES:
		*put_dec(buf, bytes) = '\0';
		return buf;
	case MW_UNIT_KIB:
		*put_dec(buf, bytes / 1024) = '\0';
		return buf;
	case MW_UNIT_MIB:
		snprintf(buf, MW__SIZE_TEXT, "%.1f", (double)bytes / (1024 * 1024));
		return buf;
	case MW_UNIT_SI:
		return scaled(bytes, 1000, si, buf);
	case MW_UNIT_IEC:
		break;
	}
	return bytes < UINT64_C(1) << 56 ? scaled_iec(bytes, buf) : scaled(bytes, 1024, iec, buf);
}

const char *mw__ratio_text(double ratio, char buf[static MW__SIZE_TEXT])
{
	double pct = 100 * ratio;

	if (pct > 0 && pct < 0.01)
		snprintf(buf, MW__SIZE_TEXT, "<0.01 %%");
	else if (pct > 0 && pct < 0.95)
		snprintf(buf, MW__SIZE_TEXT, "%.2f %%", pct);
	else if (pct >= 99.95 && pct < 100)
		snprintf(buf, MW__SIZE_TEXT, ">99.9 %%");
	else
		snprintf(buf, MW__SIZE_TEXT, "%.1f %%", pct);
	return buf;
}

const char *mw__share_text(uint64_t part, uint64_t whole, char buf[static MW__SIZE_TEXT])
{
	if (part == MW_UNKNOWN || whole == MW_UNKNOWN || !whole) {
		snprintf(buf, MW__SIZE_TEXT, "-");
		return buf;
	}
	return mw__ratio_text((double)part / (double)whole, buf);
}
