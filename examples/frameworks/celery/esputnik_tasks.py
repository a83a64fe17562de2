"""Runs each event as a Celery task (python3-celery 5, python3-redis):

    REDIS_URL=redis://127.0.0.1:6379/0 celery -A esputnik_tasks worker -Q esputnik

Acknowledgement, retries and routing are Celery's own.
"""

import os

from celery import Celery

app = Celery(broker=os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"))
app.conf.update(
    task_acks_late=True,              # a task that died with its worker is
    task_reject_on_worker_lost=True,  # given to another one
    task_ignore_result=True,
)


@app.task(name="esputnik.handle", autoretry_for=(OSError,), retry_backoff=True)
def handle(event):
    print("\t".join((event["activityStatus"], str(event["contactId"]),
                     event.get("iid", "-"),
                     event.get("externalCustomerId", "-"))))
