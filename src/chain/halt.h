/* What ends the chain's work before its time: the disk failed, or somebody asks it to stop. */
#ifndef ATELIER_CHAIN_HALT_H
#define ATELIER_CHAIN_HALT_H

#include "chain/chain.h"

/* The disk failed: log, fatal notice, and no further writes. Always returns CHAIN_ERROR. */
enum chain_result halt_fail(struct chain *chain, const struct errmsg *err);
/* For the ways into the chain: hands the result on, and, if that is CHAIN_ERROR, says in the reject how the disk
 * failed: this time, or before. */
enum chain_result halt_explain(const struct chain *chain, enum chain_result result, struct reject *reject);
/* Damage that this run can do nothing about: puts what the operator can do before the error. */
void halt_name_remedy(struct errmsg *err);
/* Whether chain_open or chain_import shall give up. */
bool halt_asked(const struct chain *chain);

#endif
