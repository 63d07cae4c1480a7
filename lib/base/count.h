/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef MW_BASE_COUNT_H
#define MW_BASE_COUNT_H

#define MW__COUNT(a) (sizeof(a) / sizeof((a)[0]))	/* elements of an array */

#endif
