/* Guests in a list: they are as few as connections are. */
#include "web/door/guests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/mem.h"

struct guest *guests_enter(struct guest **guests, const char *name)
{
	struct guest *guest = *guests;

	while (guest != NULL && strcmp(guest->name, name) != 0)
		guest = guest->next;
	if (guest == NULL) {
		guest = mem_calloc(1, sizeof *guest);
		snprintf(guest->name, sizeof guest->name, "%s", name);
		guest->next = *guests;
		*guests = guest;
	}
	guest->requests++;
	return guest;
}

void guests_leave(struct guest **guests, struct guest *guest)
{
	struct guest **link = guests;

	if (--guest->requests > 0)
		return;
	while (*link != guest)
		link = &(*link)->next;
	*link = guest->next;
	free(guest);
}
