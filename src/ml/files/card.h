/* README.md beside exported weights, a model card as Hugging Face shows it: what the model is, and whose data it was
 * trained on. */
#ifndef ATELIER_ML_FILES_CARD_H
#define ATELIER_ML_FILES_CARD_H

#include "ml/files/tensorfile.h"

/* Appends the card. Titles are anybody's words: they stay text, whatever Markdown they are. */
void card_write(const struct tensorfile_source *source, struct buf *out);

#endif
