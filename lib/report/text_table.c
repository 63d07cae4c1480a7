/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Tables with cells of several lines: libsmartcols aligns and prints, this file fits. libsmartcols
 * would cut off the end of a wide cell and wrap inside words, so cells are made to fit here, into the
 * widths of text_fit.c. libsmartcols owns the cells; each is formatted once. Other tables are laid out
 * as streams are (stream_table.c): loading libsmartcols takes longer than most of them do.
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
_Static_assert(sizeof(GAP) == MW__GAP + 1, "the gap that the widths are planned with");

struct job {
	struct mw__text *text;
	const struct mw__doc_node *table;
	struct libscols_table *scols;
	struct mw__chosen chosen;
	struct mw__fit *fits;
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

static int add_column(struct job *job, struct mw__fit *fit)
{
	const char *heading = fit->col->heading ? fit->col->heading : "";
	bool is_right = is_number(fit->col) && !(fit->col->flags & MW__COL_LEFT);

	if (!scols_table_new_column(job->scols, heading, 0, is_right ? SCOLS_FL_RIGHT : 0))
		return -MW_E_NOMEM;
	fit->widest = fit->least = mw__text_width(heading, strlen(heading));	/* kept also without headings */
	return 0;
}

static int add_columns(struct job *job)
{
	job->fits = calloc(job->chosen.n + 1, sizeof(*job->fits));
	if (!job->fits)
		return -MW_E_NOMEM;
	for (size_t i = 0; i < job->chosen.n; i++) {
		struct mw__fit *fit = &job->fits[i];

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

/* Columns of the longest word. */
static size_t word_width(const char *text)
{
	size_t longest = 0;

	while (*text) {
		size_t len = strcspn(text, " "), width = mw__text_width(text, len);

		longest = width > longest ? width : longest;
		text += len + strspn(text + len, " ");
	}
	return longest;
}

static int fill_cell(struct job *job, struct libscols_line *line, size_t i,
		     const struct mw__doc_row *row, bool has_indent)
{
	struct mw__fit *fit = &job->fits[i];

	mw__str_reset(&job->cell);
	if (has_indent)
		mw__str_puts(&job->cell, "  ");
	mw__text_cell(job->text, &job->cell, &row->cells[fit->idx]);
	fit->says |= mw__cell_says(&row->cells[fit->idx]);
	if (job->text->opts.raw && !job->cell.n)
		mw__str_puts(&job->cell, "-");	/* else the columns behind would move */
	if (job->text->opts.width && job->cell.n) {
		size_t width = mw__text_width(job->cell.v, job->cell.n);

		if (width > fit->widest)
			fit->widest = width;
		if (fit->col->flags & MW__COL_WRAP && word_width(job->cell.v) > fit->least)
			fit->least = word_width(job->cell.v);
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

	for (size_t i = 0; i < job->chosen.n; i++) {
		int rc = fill_cell(job, line, i, row, i == indent);

		if (rc < 0)
			return rc;
	}
	return 0;
}

static int fill_lines(struct job *job)
{
	MW_CLEANUP(mw__freep) size_t *order = mw__rows_order(job->table, job->text->opts.sort);
	MW_CLEANUP(mw__freep) const struct mw__doc_row **rows = calloc(job->table->n_rows + 1, sizeof(*rows));
	size_t n = 0;
	int rc = 0;

	if (!order || !rows)
		return -MW_E_NOMEM;
	for (const struct mw__doc_row *row = job->table->first_row; row; row = row->next)
		rows[n++] = row;
	for (size_t i = 0; i < n && rc == 0; i++)
		if (rows[order[i]]->style != MW__ROW_JSON)
			rc = fill_line(job, rows[order[i]]);
	return rc;
}

/* ----------------------------------------------------------------- fitting */

static int shrink_cell(struct job *job, struct libscols_line *line, size_t i)
{
	const char *data = scols_cell_get_data(scols_line_get_cell(line, i));
	const struct mw__fit *fit = &job->fits[i];

	if (!data || mw__text_width(data, strlen(data)) <= fit->width)
		return 0;
	mw__str_reset(&job->cell);
	if (fit->col->flags & MW__COL_WRAP)
		mw__text_wrap(&job->cell, data, fit->width, strspn(data, " "));
	else
		mw__text_shorten(job->text, &job->cell, data, fit->width, fit->col->flags);
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
	mw__fit_plan(job->fits, job->chosen.n, job->text->opts.width, MW__GAP);
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
