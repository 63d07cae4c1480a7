/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A snapshot from a file: save/ reads, checks and freezes it. */
#include "../memwhy.h"
#include "../save/save.h"

int mw_collect_saved(const char *path, struct mw_snapshot **ret, struct mw_err *err)
{
	return mw__save_read_path(path, ret, err);
}
