"""An executor for tests, which does jobs in this process, one after the other."""

from harness.runner.executors import Executor


class OneByOne(Executor):
    """Does a job by its `execute`, which those below have."""

    def __init__(self):
        self.job = None

    def open(self):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.job = None

    def has_room(self, job):
        return self.job is None

    def submit(self, job):
        self.job = job

    def events(self):
        while self.job is not None:
            job, self.job = self.job, None
            run_id = job.planned.spec.run_id
            self.ended = job, lambda progress: None
            yield run_id, None

    def collect(self, run_id):
        return self.execute(*self.ended)

    def cancel(self, run_id):
        self.job = None
