/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Tables: libsmartcols aligns and prints, this file fits. libsmartcols would cut off the
 * end of a wide cell and wrap inside words, so the widths are worked out here. When a
 * table is wider than the terminal, bars become short, then texts that allow it give up
 * width, the widest first; when that is not enough, the bars go.
 * libsmartcols owns the cells; each is formatted once.
 */
#include "text.h"

#include <errno.h>
#include <libsmartcols/libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/cleanup.h"
#include "../base/err.h"

#define GAP "  "
#define MIN_WIDTH 16	/* no text is shortened below this */
#define MIN_BAR 4

/* A column on its way to the screen. */
struct fit {
	const struct mw__col *col;
	size_t idx;		/* in table->cols */
	size_t widest, width;	/* of its cells and heading; what it gets, 0: it is left out */
};

struct job {
	struct mw__text *text;
	const struct mw__doc_node *table;
	struct libscols_table *scols;
	struct mw__chosen chosen;
	struct fit *fits;
	struct mw__str cell;	/* scratch */
};

static void deinit_job(struct job *job)
{
	scols_unref_table(job->scols);
	free(job->chosen.idx);
	free(job->fits);
	mw__str_deinit(&job->cell);
}

static void free_iter(struct libscols_iter **iter)
{
	scols_free_iter(*iter);
}

static bool is_number(const struct mw__col *col)
{
	return col->type >= MW__T_BYTES && col->type <= MW__T_SHARE;
}

static int add_column(struct job *job, struct fit *fit)
{
	const char *heading = fit->col->heading ? fit->col->heading : "";
	bool is_right = is_number(fit->col) && !(fit->col->flags & MW__COL_LEFT);

	if (!scols_table_new_column(job->scols, heading, 0, is_right ? SCOLS_FL_RIGHT : 0))
		return -MW_E_NOMEM;
	fit->widest = mw__text_width(heading, strlen(heading));	/* kept also without headings */
	return 0;
}

static int add_columns(struct job *job)
{
	job->fits = calloc(job->chosen.n + 1, sizeof(*job->fits));
	if (!job->fits)
		return -MW_E_NOMEM;
	for (size_t i = 0; i < job->chosen.n; i++) {
		struct fit *fit = &job->fits[i];

		fit->idx = job->chosen.idx[i];
		fit->col = &job->table->cols[fit->idx];
		if (add_column(job, fit) < 0)
			return -MW_E_NOMEM;
	}
	return 0;
}

/* Give the scratch text to libsmartcols, which copies it. */
static int set_cell(struct job *job, struct libscols_line *line, size_t i)
{
	if (job->cell.failed)
		return -MW_E_NOMEM;
	return scols_line_set_data(line, i, job->cell.n ? job->cell.v : NULL) ? -MW_E_NOMEM : 0;
}

static bool is_text(const struct mw__cell *cell)
{
	return cell->type == MW__T_TEXT && cell->s && *cell->s;
}

/* Where a child row is indented: its first text. chosen.n when nowhere. */
static size_t find_indent(const struct job *job, const struct mw__doc_row *row)
{
	size_t i = 0;

	if (row->style != MW__ROW_CHILD || job->text->opts.raw)
		return job->chosen.n;
	while (i < job->chosen.n && !is_text(&row->cells[job->chosen.idx[i]]))
		i++;
	return i;
}

static int fill_cell(struct job *job, struct libscols_line *line, size_t i,
		     const struct mw__doc_row *row, bool has_indent)
{
	struct fit *fit = &job->fits[i];

	mw__str_reset(&job->cell);
	if (has_indent)
		mw__str_puts(&job->cell, "  ");
	mw__text_cell(job->text, &job->cell, &row->cells[fit->idx]);
	if (job->text->opts.raw && !job->cell.n)
		mw__str_puts(&job->cell, "-");	/* else the columns behind would move */
	if (job->text->opts.width && job->cell.n) {
		size_t width = mw__text_width(job->cell.v, job->cell.n);

		if (width > fit->widest)
			fit->widest = width;
	}
	return set_cell(job, line, i);
}

static int fill_line(struct job *job, const struct mw__doc_row *row)
{
	struct libscols_line *line = scols_table_new_line(job->scols, NULL);

	if (!line)
		return -MW_E_NOMEM;
	if (row->style == MW__ROW_TOTAL && job->text->opts.color && scols_line_set_color(line, MW__BOLD))
		return -MW_E_NOMEM;
	size_t indent = find_indent(job, row);

	scols_line_set_userdata(line, (void *)(uintptr_t)row);
	for (size_t i = 0; i < job->chosen.n; i++) {
		int rc = fill_cell(job, line, i, row, i == indent);

		if (rc < 0)
			return rc;
	}
	return 0;
}

static int fill_lines(struct job *job)
{
	MW_CLEANUP(mw__freep) const struct mw__doc_row **rows =
		mw__rows_order(job->table, job->text->opts.sort);

	if (!rows)
		return -MW_E_NOMEM;
	for (size_t i = 0; i < job->table->n_rows; i++) {
		int rc = rows[i]->style == MW__ROW_JSON ? 0 : fill_line(job, rows[i]);

		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ----------------------------------------------------------------- fitting */

static bool is_bar(const struct fit *fit)
{
	return fit->col->type == MW__T_BAR;
}

/* How far a column can give in. */
static size_t least_width(const struct fit *fit)
{
	if (is_bar(fit))
		return MIN_BAR;
	return fit->col->flags & (MW__COL_TRUNC | MW__COL_WRAP) ? MIN_WIDTH : SIZE_MAX;
}

/* The widest column of these that can give up some width, or NULL. */
static struct fit *find_widest(struct job *job, bool bars)
{
	struct fit *best = NULL;

	for (size_t i = 0; i < job->chosen.n; i++) {
		struct fit *fit = &job->fits[i];

		if (is_bar(fit) == bars && fit->width > least_width(fit) && (!best || fit->width > best->width))
			best = fit;
	}
	return best;
}

/* Every column as wide as it wants to be; bars left out or not. Yields the sum. */
static size_t reset_widths(struct job *job, bool has_bars)
{
	size_t total = 0;

	for (size_t i = 0; i < job->chosen.n; i++) {
		struct fit *fit = &job->fits[i];

		fit->width = is_bar(fit) && !has_bars ? 0 : fit->widest;
		total += fit->width + (total && fit->width ? strlen(GAP) : 0);
	}
	return total;
}

/* Decide every column's width. True when that makes the table fit. */
static bool plan_widths(struct job *job, bool has_bars)
{
	size_t total = reset_widths(job, has_bars);

	while (total > job->text->opts.width) {
		struct fit *fit = find_widest(job, true);

		if (!fit)
			fit = find_widest(job, false);
		if (!fit)
			return false;
		fit->width--;
		total--;
	}
	return true;
}

/* The same value with fewer columns, so that the longest bar just fits. */
static void shorten_bar(struct job *job, const struct mw__doc_row *row, const struct fit *fit)
{
	unsigned cells = (unsigned)(MW__BAR_CELLS * fit->width / fit->widest);

	mw__text_bar(job->text, &job->cell, row->cells[fit->idx].f, cells);
}

static int shrink_cell(struct job *job, struct libscols_line *line, size_t i)
{
	const char *data = scols_cell_get_data(scols_line_get_cell(line, i));
	const struct fit *fit = &job->fits[i];

	if (!data || (!is_bar(fit) && mw__text_width(data, strlen(data)) <= fit->width))
		return 0;
	mw__str_reset(&job->cell);
	if (is_bar(fit))
		shorten_bar(job, scols_line_get_userdata(line), fit);
	else if (fit->col->flags & MW__COL_WRAP)
		mw__text_wrap(&job->cell, data, fit->width, strspn(data, " "));
	else
		mw__text_shorten(job->text, &job->cell, data, fit->width);
	return set_cell(job, line, i);
}

/* Cells of this column may have several lines. */
static int enable_wrap(struct libscols_column *column)
{
	if (scols_column_set_flags(column, scols_column_get_flags(column) | SCOLS_FL_WRAP) ||
	    scols_column_set_safechars(column, "\n") ||
	    scols_column_set_wrapfunc(column, scols_wrapnl_chunksize, scols_wrapnl_nextchunk, NULL))
		return -MW_E_NOMEM;
	return 0;
}

static int shrink_column(struct job *job, size_t i)
{
	MW_CLEANUP(free_iter) struct libscols_iter *iter = scols_new_iter(SCOLS_ITER_FORWARD);
	struct libscols_column *column = scols_table_get_column(job->scols, i);
	struct libscols_line *line;
	int rc = iter ? 0 : -MW_E_NOMEM;

	if (!job->fits[i].width)
		return scols_column_set_flags(column, SCOLS_FL_HIDDEN) ? -MW_E_NOMEM : 0;
	if (rc == 0 && (job->fits[i].col->flags & MW__COL_WRAP))
		rc = enable_wrap(column);
	while (rc == 0 && scols_table_next_line(job->scols, iter, &line) == 0)
		rc = shrink_cell(job, line, i);
	return rc;
}

static int fit_columns(struct job *job)
{
	if (!job->text->opts.width || job->text->opts.raw)
		return 0;
	if (!plan_widths(job, true))
		plan_widths(job, false);
	for (size_t i = 0; i < job->chosen.n; i++) {
		if (job->fits[i].width == job->fits[i].widest)
			continue;
		int rc = shrink_column(job, i);

		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---------------------------------------------------------------- printing */

static ssize_t write_page(void *page, const char *bytes, size_t len)
{
	mw__page_write(page, bytes, len);
	return (ssize_t)len;	/* the page remembers what went wrong */
}

static int set_style(struct job *job)
{
	const struct mw_text_opts *opts = &job->text->opts;

	scols_table_set_termforce(job->scols, SCOLS_TERMFORCE_NEVER);
	scols_table_enable_noheadings(job->scols, opts->no_headings);
	scols_table_enable_colors(job->scols, opts->color);
	scols_table_enable_noencoding(job->scols, 1);	/* mw__text_put() has done it */
	if (opts->raw)
		return scols_table_enable_raw(job->scols, 1) ? -MW_E_NOMEM : 0;
	return scols_table_set_column_separator(job->scols, GAP) ? -MW_E_NOMEM : 0;
}

static int print_table(struct job *job)
{
	cookie_io_functions_t io = { .write = write_page };
	FILE *stream = fopencookie(&job->text->page, "w", io);

	if (!stream)
		return -MW_E_NOMEM;
	setvbuf(stream, NULL, _IOLBF, BUFSIZ);	/* the page sees colours whole */
	scols_table_set_stream(job->scols, stream);
	int rc = scols_print_table(job->scols);

	fputc('\n', stream);
	fclose(stream);
	return rc ? -MW_E_NOMEM : 0;
}

static int build_table(struct job *job)
{
	int rc = mw__cols_choose(job->table, &job->text->opts, &job->chosen);

	if (rc < 0)
		return rc;
	job->scols = scols_new_table();
	if (!job->scols)
		return -MW_E_NOMEM;
	rc = set_style(job);
	if (rc == 0)
		rc = add_columns(job);
	if (rc == 0)
		rc = fill_lines(job);
	return rc ? rc : fit_columns(job);
}

int mw__text_table(struct mw__text *t, const struct mw__doc_node *table, struct mw_err *err)
{
	struct job job = { .text = t, .table = table };
	int rc;

	mw__text_utf8(t);	/* libsmartcols measures in the locale that is set */
	rc = build_table(&job);
	if (rc == 0)
		rc = print_table(&job);
	deinit_job(&job);
	return rc ? mw__fail_nomem(err, "table") : 0;
}
