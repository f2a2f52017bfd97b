/* The processor as a backend: one kind for each engine of ml/kernel/engine.h, and the reference is ENGINE_REFERENCE. */
#ifndef ATELIER_ML_BACKEND_CPU_H
#define ATELIER_ML_BACKEND_CPU_H

#include "ml/backend.h"
#include "ml/kernel/engine.h"

const struct backend_kind *backend_cpu(enum engine engine);

/* The engine of one of these kinds. */
enum engine backend_cpu_engine(const struct backend_kind *kind);

/* The model in which a backend of such a kind works, for who measures passes of his own. Borrowed. */
struct model *backend_cpu_model(struct backend *backend);

#endif
