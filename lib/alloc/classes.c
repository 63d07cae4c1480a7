/* SPDX-License-Identifier: GPL-3.0-or-later */
/* classes.c - the size-class tables, computed by mkclasses.c at build time. */
#include "internal.h"

#include "sizeclasses.h"
