/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "../memwhy.h"

#include <json-c/json.h>
#include <libsmartcols/libsmartcols.h>
#include <stdio.h>

#ifndef MW_COMMIT
#define MW_COMMIT "unknown"
#endif

const char *mw_version(void)
{
	return MW_VERSION;
}

int mw_version_details(char *buf, size_t size)
{
	const char *smartcols = NULL;

	scols_get_library_version(&smartcols);
	return snprintf(buf, size, "commit %s\nlibsmartcols %s\njson-c %s\n", MW_COMMIT, smartcols, json_c_version());
}
