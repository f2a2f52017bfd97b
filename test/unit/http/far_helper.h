/* Clients that are far away, without a network: for programs that are linked with $(FAR_LINK). */
#ifndef ATELIER_TEST_FAR_HELPER_H
#define ATELIER_TEST_FAR_HELPER_H

#include <stdint.h>

/* Whoever connects from now on is taken to be of this group, far away; 0: he is what he is. */
extern uint8_t far_group;

#endif
