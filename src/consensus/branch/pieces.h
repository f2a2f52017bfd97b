/* Pieces of byte forms that the parts of a branch share. Each fails the reader on what no writer writes. */
#ifndef ATELIER_CONSENSUS_BRANCH_PIECES_H
#define ATELIER_CONSENSUS_BRANCH_PIECES_H

#include "util/buf.h"

bool pieces_bool(struct reader *piece_reader);
uint32_t pieces_count(struct reader *piece_reader, uint32_t max); /* 0 if it fails */

void pieces_put_wide(struct buf *piece_out, unsigned __int128 wide);
unsigned __int128 pieces_wide(struct reader *piece_reader);

/* Text of at most max bytes, without zeros, its length in front; text has max + 1. */
void pieces_put_text(struct buf *piece_out, const char *text);
void pieces_text(struct reader *piece_reader, char *text, size_t max);

#endif
