/* Ids of the SPDX licence list, as of 2026: licences, and exceptions that stand behind WITH. The list grows: an id that
 * is not here may be right all the same. */
#ifndef ATELIER_CONFIG_SPDX_IDS_H
#define ATELIER_CONFIG_SPDX_IDS_H

extern const char *const spdx_ids[], *const spdx_ids_exceptions[]; /* in alphabetical order, ended by NULL */

#endif
