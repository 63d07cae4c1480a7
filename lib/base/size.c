/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "size.h"

#include <stdio.h>

static const char *const iec[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
static const char *const si[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB" };

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
		snprintf(buf, MW__SIZE_TEXT, "%llu", (unsigned long long)bytes);
		return buf;
	case MW_UNIT_KIB:
		snprintf(buf, MW__SIZE_TEXT, "%llu", (unsigned long long)(bytes / 1024));
		return buf;
	case MW_UNIT_MIB:
		snprintf(buf, MW__SIZE_TEXT, "%.1f", (double)bytes / (1024 * 1024));
		return buf;
	case MW_UNIT_SI:
		return scaled(bytes, 1000, si, buf);
	case MW_UNIT_IEC:
		break;
	}
	return scaled(bytes, 1024, iec, buf);
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
