/* The genesis corpus that every binary carries: text of our own writing, data/genesis.txt of the repository. */
#ifndef ATELIER_CONSENSUS_CORPUS_H
#define ATELIER_CONSENSUS_CORPUS_H

#include <stddef.h>
#include <stdint.h>

extern const uint8_t corpus_embedded[];
extern const size_t corpus_embedded_size;

#endif
