/* Worker threads with a queue of two ranks; results wait until the loop takes them. */
#include "util/workers.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "util/mem.h"

struct job {
	struct job *next;
	workers_run *run;
	workers_done *done;
	void *arg;
};

struct job_list {
	struct job *first, **last;
};

struct workers {
	pthread_mutex_t lock; /* guards the queues and stopping */
	pthread_cond_t work;  /* a job was queued, or stopping was set */
	pthread_cond_t result;
	struct job_list urgent, normal, finished;
	bool stopping;
	size_t pending; /* the loop thread's own, as is all below */
	workers_notify *notify;
	void *context;
	workers_after *after;
	void *after_context;
	unsigned count;
	pthread_t threads[];
};

static void queue_init(struct job_list *q)
{
	q->first = NULL;
	q->last = &q->first;
}

static void queue_push(struct job_list *q, struct job *job)
{
	job->next = NULL;
	*q->last = job;
	q->last = &job->next;
}

static struct job *queue_pop(struct job_list *q)
{
	struct job *job = q->first;

	if (job != NULL) {
		q->first = job->next;
		if (q->first == NULL)
			q->last = &q->first;
	}
	return job;
}

static struct job *next_job(struct workers *p)
{
	struct job *job = queue_pop(&p->urgent);

	return job != NULL ? job : queue_pop(&p->normal);
}

static void *work(void *arg)
{
	struct workers *p = arg;
	struct job *job;
	bool tell;

	pthread_mutex_lock(&p->lock);
	while (!p->stopping) {
		job = next_job(p);
		if (job == NULL) {
			pthread_cond_wait(&p->work, &p->lock);
			continue;
		}
		pthread_mutex_unlock(&p->lock);
		job->run(job->arg);
		pthread_mutex_lock(&p->lock);
		queue_push(&p->finished, job);
		pthread_cond_signal(&p->result);
		tell = p->notify != NULL && !p->stopping;
		/* Outside the lock: notify may take locks of its own that the loop holds while it posts. */
		if (tell) {
			pthread_mutex_unlock(&p->lock);
			p->notify(p->context);
			pthread_mutex_lock(&p->lock);
		}
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

struct workers *workers_new(unsigned threads, workers_notify *notify, void *context)
{
	struct workers *p = mem_calloc(1, sizeof *p + threads * sizeof p->threads[0]);
	pthread_condattr_t monotonic;
	sigset_t all, before;

	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&p->result, &monotonic);
	pthread_condattr_destroy(&monotonic);
	queue_init(&p->urgent);
	queue_init(&p->normal);
	queue_init(&p->finished);
	p->notify = notify;
	p->context = context;
	p->count = threads;
	/* Signals belong to the loop's thread: the workers inherit a mask that blocks them all. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (unsigned i = 0; i < threads; i++) {
		int error = pthread_create(&p->threads[i], NULL, work, p);

		if (error) {
			fprintf(stderr, "A worker thread cannot be started: %s\n", strerror(error));
			abort();
		}
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return p;
}

void workers_post(struct workers *p, workers_run *run, workers_done *done, void *arg, bool urgent)
{
	struct job *job = mem_alloc(sizeof *job);

	*job = (struct job){ NULL, run, done, arg };
	p->pending++;
	pthread_mutex_lock(&p->lock);
	queue_push(urgent ? &p->urgent : &p->normal, job);
	pthread_cond_signal(&p->work);
	pthread_mutex_unlock(&p->lock);
}

static void finish(struct workers *p, struct job *job, bool cancelled)
{
	workers_done *done = job->done;
	void *arg = job->arg;

	free(job);
	p->pending--;
	done(arg, cancelled);
}

size_t workers_drain(struct workers *p)
{
	size_t count = 0;

	for (;;) {
		struct job *job;

		pthread_mutex_lock(&p->lock);
		job = queue_pop(&p->finished);
		pthread_mutex_unlock(&p->lock);
		if (job == NULL)
			break;
		finish(p, job, false);
		count++;
	}
	if (count > 0 && p->after != NULL)
		p->after(p->after_context);
	return count;
}

void workers_after_drain(struct workers *p, workers_after *after, void *context)
{
	p->after = after;
	p->after_context = context;
}

void workers_wait(struct workers *p)
{
	pthread_mutex_lock(&p->lock);
	while (p->finished.first == NULL && p->pending)
		pthread_cond_wait(&p->result, &p->lock);
	pthread_mutex_unlock(&p->lock);
}

void workers_wait_for(struct workers *p, unsigned ms)
{
	struct timespec end;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += ms / 1000;
	end.tv_nsec += (long)(ms % 1000) * 1000000;
	if (end.tv_nsec >= 1000000000) {
		end.tv_sec++;
		end.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&p->lock);
	while (p->finished.first == NULL && p->pending && pthread_cond_timedwait(&p->result, &p->lock, &end) == 0)
		;
	pthread_mutex_unlock(&p->lock);
}

size_t workers_pending(const struct workers *p)
{
	return p->pending;
}

unsigned workers_threads(const struct workers *p)
{
	return p->count;
}

void workers_free(struct workers *p)
{
	struct job *job;

	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->count; i++)
		pthread_join(p->threads[i], NULL);
	workers_drain(p);
	while ((job = next_job(p)) != NULL)
		finish(p, job, true);
	pthread_cond_destroy(&p->result);
	pthread_cond_destroy(&p->work);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
