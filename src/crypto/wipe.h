/* Overwrites secrets in a way the compiler keeps. */
#ifndef ATELIER_CRYPTO_WIPE_H
#define ATELIER_CRYPTO_WIPE_H

#include <stddef.h>

void wipe(void *secret, size_t size);
void wipe_text(char *secret_text); /* a string up to its end; NULL is nothing to do */

#endif
