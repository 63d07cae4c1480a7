/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Words of CPUID by model, for machines whose hypervisor hides them: those that decide about TLBs, as a processor
 * of that kind gave them. All are from the collection of dumps that InstLatx64 publishes
 * (https://github.com/InstLatx64/InstLatx64), which has at least one of each model listed. Parts of one model may
 * differ in details: without hyper-threading more entries are for code, early steppings of family 0x17 differ in
 * ways. So what is taken from here is marked as documented. Chips with cores of several kinds are left out.
 */
#include "tlb.h"

#include "../base/count.h"

#include <string.h>

#define DUMP(processor, core) core ": published CPUID words of " processor

static const struct mw__tlb_model models[] = {
	{ "GenuineIntel", 0x06, { 0x1a, 0x1e, 0x2e }, DUMP("Intel Xeon E7520", "Nehalem"), {
		{ 0x2, 0, 0x55035a00, 0x00f0b2eb, 0, 0x09ca212c },
	} },
	{ "GenuineIntel", 0x06, { 0x25 }, DUMP("Intel Core i5 650", "Westmere"), {
		{ 0x2, 0, 0x55035a00, 0x00f0b2e3, 0, 0x09ca212c },
	} },
	{ "GenuineIntel", 0x06, { 0x2c, 0x2f }, DUMP("Intel Xeon W3670", "Westmere"), {
		{ 0x2, 0, 0x55035a00, 0x00f0b2ff, 0, 0x00ca0000 },
	} },
	{ "GenuineIntel", 0x06, { 0x2a, 0x2d, 0x3a, 0x3e }, DUMP("Intel Core i7-3930K", "Sandy Bridge and Ivy Bridge"), {
		{ 0x2, 0, 0x76035a00, 0x00f0b2ff, 0, 0x00ca0000 },
	} },
	{ "GenuineIntel", 0x06, { 0x3c, 0x3f, 0x45, 0x46 }, DUMP("Intel Core i7-5820K", "Haswell"), {
		{ 0x2, 0, 0x76036300, 0x00f0b5ff, 0, 0x00c10000 },
	} },
	{ "GenuineIntel", 0x06, { 0x3d, 0x47, 0x4f, 0x56 }, DUMP("Intel Core i7-6900K", "Broadwell"), {
		{ 0x2, 0, 0x76036300, 0x00f0b5ff, 0, 0x00c30000 },
	} },
	{ "GenuineIntel", 0x06, { 0x4e, 0x55, 0x5e, 0x66, 0x8e, 0x9e, 0xa5, 0xa6 }, DUMP("Intel Xeon Gold 6154", "Skylake to Cascade Lake"), {
		{ 0x2, 0, 0x76036300, 0x00f0b5ff, 0, 0x00c30000 },
	} },
	{ "GenuineIntel", 0x06, { 0x6a, 0x7e, 0xa7 }, DUMP("Intel Xeon Gold 6330", "Ice Lake"), {
		{ 0x18, 0, 0x00000007, 0, 0, 0 },
		{ 0x18, 1, 0, 0x00080007, 0x00000001, 0x00004122 },
		{ 0x18, 2, 0, 0x0010000f, 0x00000001, 0x00004125 },
		{ 0x18, 3, 0, 0x00040001, 0x00000010, 0x00004024 },
		{ 0x18, 4, 0, 0x00040006, 0x00000008, 0x00004024 },
		{ 0x18, 5, 0, 0x00080008, 0x00000001, 0x00004124 },
		{ 0x18, 6, 0, 0x00080007, 0x00000080, 0x00004043 },
		{ 0x18, 7, 0, 0x00080009, 0x00000080, 0x00004043 },
	} },
	{ "GenuineIntel", 0x06, { 0x8c, 0x8d }, DUMP("11th Gen Intel Core i5-1135G7", "Tiger Lake"), {
		{ 0x18, 0, 0x00000008, 0, 0, 0 },
		{ 0x18, 1, 0, 0x00080001, 0x00000010, 0x00004022 },
		{ 0x18, 2, 0, 0x00080006, 0x00000002, 0x00004022 },
		{ 0x18, 3, 0, 0x0010000f, 0x00000001, 0x00004125 },
		{ 0x18, 4, 0, 0x00040001, 0x00000010, 0x00004024 },
		{ 0x18, 5, 0, 0x00040006, 0x00000008, 0x00004024 },
		{ 0x18, 6, 0, 0x00080008, 0x00000001, 0x00004124 },
		{ 0x18, 7, 0, 0x00080007, 0x00000080, 0x00004043 },
		{ 0x18, 8, 0, 0x00080009, 0x00000080, 0x00004043 },
	} },
	{ "GenuineIntel", 0x06, { 0x8f, 0xcf }, DUMP("Intel Xeon w7-2475X", "Sapphire Rapids and Emerald Rapids"), {
		{ 0x18, 0, 0x00000008, 0, 0, 0 },
		{ 0x18, 1, 0, 0x00080001, 0x00000020, 0x00004022 },
		{ 0x18, 2, 0, 0x00080006, 0x00000004, 0x00004022 },
		{ 0x18, 3, 0, 0x0010000f, 0x00000001, 0x00004125 },
		{ 0x18, 4, 0, 0x00040001, 0x00000010, 0x00004024 },
		{ 0x18, 5, 0, 0x00040006, 0x00000008, 0x00004024 },
		{ 0x18, 6, 0, 0x00080008, 0x00000001, 0x00004124 },
		{ 0x18, 7, 0, 0x00080007, 0x00000080, 0x00004043 },
		{ 0x18, 8, 0, 0x00080009, 0x00000080, 0x00004043 },
	} },
	{ "GenuineIntel", 0x06, { 0xad }, DUMP("Intel Xeon 658X", "Granite Rapids"), {
		{ 0x18, 0, 0x00000008, 0, 0, 0 },
		{ 0x18, 1, 0, 0x00080001, 0x00000020, 0x00004022 },
		{ 0x18, 2, 0, 0x00080006, 0x00000004, 0x00004022 },
		{ 0x18, 3, 0, 0x0010000f, 0x00000001, 0x00004125 },
		{ 0x18, 4, 0, 0x00060001, 0x00000010, 0x00004024 },
		{ 0x18, 5, 0, 0x00040006, 0x00000008, 0x00004024 },
		{ 0x18, 6, 0, 0x00080008, 0x00000001, 0x00004124 },
		{ 0x18, 7, 0, 0x00080007, 0x00000080, 0x00004043 },
		{ 0x18, 8, 0, 0x00080009, 0x00000080, 0x00004043 },
	} },
	{ "GenuineIntel", 0x06, { 0x57 }, DUMP("Intel Xeon Phi 7210", "Knights Landing"), {
		{ 0x2, 0, 0x6c6b6a00, 0x00ff616d, 0, 0 },
	} },
	{ "GenuineIntel", 0x06, { 0x37, 0x4d, 0x5a, 0x5d }, DUMP("Intel Atom C2750", "Silvermont"), {
		{ 0x2, 0, 0x61b3a000, 0x0000ffc2, 0, 0 },
	} },
	{ "GenuineIntel", 0x06, { 0x5c, 0x5f }, DUMP("Intel Atom C3958", "Goldmont"), {
		{ 0x2, 0, 0x6164a000, 0x0000ffc4, 0, 0 },
	} },
	{ "AuthenticAMD", 0x17, { 0x01 }, DUMP("AMD EPYC 7551P 32-Core", "Zen"), {
		{ 0x80000005, 0, 0xff40ff40, 0xff40ff40, 0, 0 },
		{ 0x80000006, 0, 0x36006400, 0x56006400, 0, 0 },
		{ 0x80000019, 0, 0xf040f040, 0, 0, 0 },
	} },
	{ "AuthenticAMD", 0x17, { 0x08, 0x11, 0x18, 0x20 }, DUMP("AMD Ryzen 5 2600X Six-Core", "Zen"), {
		{ 0x80000005, 0, 0xff40ff40, 0xff40ff40, 0, 0 },
		{ 0x80000006, 0, 0x26006400, 0x66006400, 0, 0 },
		{ 0x80000019, 0, 0xf040f040, 0, 0, 0 },
	} },
	{ "AuthenticAMD", 0x17, { 0x31, 0x47, 0x60, 0x68, 0x71, 0x90, 0x91, 0xa0 }, DUMP("AMD EPYC 7742 64-Core", "Zen 2"), {
		{ 0x80000005, 0, 0xff40ff40, 0xff40ff40, 0, 0 },
		{ 0x80000006, 0, 0x48006400, 0x68006400, 0, 0 },
		{ 0x80000019, 0, 0xf040f040, 0, 0, 0 },
	} },
	{ "AuthenticAMD", 0x19, { 0x01, 0x21, 0x44, 0x50 }, DUMP("AMD EPYC 7763 64-Core", "Zen 3"), {
		{ 0x80000005, 0, 0xff40ff40, 0xff40ff40, 0, 0 },
		{ 0x80000006, 0, 0x48002200, 0x68004200, 0, 0 },
		{ 0x80000019, 0, 0xf040f040, 0xf0400000, 0, 0 },
	} },
	{ "AuthenticAMD", 0x19, { 0x11, 0x18, 0x61, 0x74, 0x75, 0x7c, 0xa0 }, DUMP("AMD EPYC 9654 96-Core", "Zen 4"), {
		{ 0x80000005, 0, 0xff48ff40, 0xff48ff40, 0, 0 },
		{ 0x80000006, 0, 0x5c002200, 0x6c004200, 0, 0 },
		{ 0x80000019, 0, 0xf048f040, 0xf0400000, 0, 0 },
	} },
	{ "AuthenticAMD", 0x1a, { 0 }, DUMP("AMD EPYC 9655 96-Core", "Zen 5"), {
		{ 0x80000005, 0, 0xff60ff40, 0xff60ff40, 0, 0 },
		{ 0x80000006, 0, 0x40802040, 0x60804040, 0, 0 },
		{ 0x80000019, 0, 0xf060f040, 0x40200000, 0, 0 },
		{ 0x80000021, 0, 0x00004000, 0, 0, 0 },
	} },
};

const struct mw__tlb_model *mw__tlb_model_find(const char *vendor, uint32_t family, uint32_t model)
{
	for (size_t i = 0; i < MW__COUNT(models); i++) {
		const struct mw__tlb_model *m = &models[i];
		bool fits = !m->models[0];

		for (size_t k = 0; k < sizeof(m->models) && m->models[k]; k++)
			fits |= m->models[k] == model;
		if (fits && m->family == family && !strcmp(m->vendor, vendor))
			return m;
	}
	return NULL;
}
