/* Whoever asks at the door: a key, or an address. One is here as long as a request of his is. */
#ifndef ATELIER_WEB_DOOR_GUESTS_H
#define ATELIER_WEB_DOOR_GUESTS_H

#include <stddef.h>

struct guest {
	char name[80];
	size_t requests, writing; /* that are here; texts that are being written for him */
	struct guest *next;
};

/* The guest of this name, who has a request more; he is made if he is not there. */
struct guest *guests_enter(struct guest **guests, const char *name);

/* A request of his is over; without one he goes. */
void guests_leave(struct guest **guests, struct guest *guest);

#endif
