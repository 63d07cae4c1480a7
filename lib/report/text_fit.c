/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How wide the columns of a table become on a narrow terminal. First to go are optional columns that say
 * nothing (0 or no text in every row); then bars become short and texts that allow it give up width, the widest first;
 * then the bars go, and the columns that can be spared, from the right; at last texts give up more.
 */
#include "../base/size.h"
#include "text.h"

#define MIN_WIDTH 16	/* texts are shortened to this at first; nothing is wrapped inside words */
#define LEAST_WIDTH 11	/* and never below this */
#define MIN_BAR 4

static bool is_bar(const struct mw__fit *fit)
{
	return fit->col->type == MW__T_BAR;
}

/* How far a column can give in. */
static size_t least_width(const struct mw__fit *fit, size_t min)
{
	if (is_bar(fit))
		return MIN_BAR;
	return fit->col->flags & (MW__COL_WRAP | MW__COL_TRUNC | MW__COL_CUT) ? mw__max(min, fit->least) : SIZE_MAX;
}

/* The widest column of these that can give up some width, or NULL. */
static struct mw__fit *find_widest(struct mw__fit *fits, size_t n, bool bars, size_t min)
{
	struct mw__fit *best = NULL;

	for (size_t i = 0; i < n; i++) {
		struct mw__fit *fit = &fits[i];

		if (is_bar(fit) == bars && fit->width > least_width(fit, min) && (!best || fit->width > best->width))
			best = fit;
	}
	return best;
}

/* Every column that is not left out as wide as it wants to be. Yields the sum. */
static size_t reset_widths(struct mw__fit *fits, size_t n, size_t gap)
{
	size_t total = 0;

	for (size_t i = 0; i < n; i++) {
		fits[i].width = fits[i].is_left_out ? 0 : fits[i].widest;
		total += fits[i].width + (total && fits[i].width ? gap : 0);
	}
	return total;
}

/* Narrow what can be narrowed, texts to min columns. True when that makes the table fit. */
static bool narrow(struct mw__fit *fits, size_t n, size_t total, size_t limit, size_t min)
{
	for (; total > limit; total--) {
		struct mw__fit *fit = find_widest(fits, n, true, min);

		if (!fit)
			fit = find_widest(fits, n, false, min);
		if (!fit)
			return false;
		fit->width--;
	}
	return true;
}

static bool says_nothing(const struct mw__fit *fit)
{
	return fit->col->flags & MW__COL_OPTIONAL && !fit->says;
}

static bool is_spare(const struct mw__fit *fit)
{
	return fit->col->flags & MW__COL_SPARE && !is_bar(fit);
}

/* Leave out the last column of this kind; false when there is none. */
static bool leave_out(struct mw__fit *fits, size_t n, bool (*kind)(const struct mw__fit *fit))
{
	for (size_t i = n; i-- > 0;)
		if (!fits[i].is_left_out && kind(&fits[i])) {
			fits[i].is_left_out = true;
			return true;
		}
	return false;
}

void mw__fit_plan(struct mw__fit *fits, size_t n, size_t limit, size_t gap)
{
	size_t total = reset_widths(fits, n, gap);

	if (!limit)
		return;
	while (total > limit && leave_out(fits, n, says_nothing))
		total = reset_widths(fits, n, gap);
	while (!narrow(fits, n, total, limit, MIN_WIDTH)) {
		bool is_narrower = leave_out(fits, n, is_bar) || leave_out(fits, n, is_spare);

		total = reset_widths(fits, n, gap);
		if (is_narrower)
			continue;
		narrow(fits, n, total, limit, LEAST_WIDTH);
		return;
	}
}
