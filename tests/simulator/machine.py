"""Simulated time, and the CPUs that flows wait for.

A flow is a generator that yields ``(resource, seconds)``: so much CPU of a resource, or with None so much
time. It is resumed when it has had it.
"""

from collections import deque
from heapq import heappop, heappush


class Simulation:
    """Runs flows in the order of simulated time. ``now_s`` is that time, in seconds."""

    def __init__(self):
        self.now_s = 0.0
        self._heap = []
        self._number = 0  # of equal times the first come goes first

    def resume(self, flow, after_s=0.0, owner=None):
        """Resumes ``flow`` in ``after_s`` seconds; ``owner.done()`` is called right before."""
        self._number += 1
        heappush(self._heap, (self.now_s + after_s, self._number, flow, owner))

    def run(self, until_s):
        """Until the moment ``until_s``, or until nothing is left to happen."""
        heap = self._heap
        while heap and heap[0][0] <= until_s:
            self.now_s, _, flow, owner = heappop(heap)
            if owner is not None:
                owner.done()
            try:
                resource, seconds = next(flow)
            except StopIteration:
                continue
            if resource is None:
                self._number += 1
                heappush(heap, (self.now_s + seconds, self._number, flow, None))
            else:
                resource.take(flow, seconds)


class Cores:
    """Cores that the server and the processes of the generator share.

    The server goes first: its threads wake up for short jobs, which a fair scheduler prefers.
    """

    def __init__(self, sim, count):
        self.sim = sim
        self.count = count
        self.busy_s = 0.0
        self._free_count = count
        self._threads = None
        self._loops = deque()

    def threads(self):
        """A process with as many threads as it has jobs, such as the server."""
        self._threads = Threads(self)
        return self._threads

    def loop(self):
        """A process that does one thing at a time, such as a worker with all its containers."""
        loop = Loop(self)
        self._loops.append(loop)
        return loop

    def dispatch(self):
        """Gives free cores to whoever waits for one."""
        while self._free_count:
            job = self._next()
            if job is None:
                return
            owner, (flow, seconds) = job
            self._free_count -= 1
            self.busy_s += seconds
            self.sim.resume(flow, seconds, owner)

    def free(self):
        """A job has ended."""
        self._free_count += 1
        self.dispatch()

    def _next(self):
        threads, loops = self._threads, self._loops
        if threads is not None and threads.queue:
            return threads, threads.queue.popleft()
        for _ in range(len(loops)):
            loop = loops[0]
            loops.rotate(-1)
            if loop.queue and not loop.is_running:
                loop.is_running = True
                return loop, loop.queue.popleft()
        return None


class Threads:
    """A resource: first come, first served, on any number of cores."""

    def __init__(self, cores):
        self.queue = deque()
        self._cores = cores

    def take(self, flow, seconds):
        self.queue.append((flow, seconds))
        self._cores.dispatch()

    def done(self):
        self._cores.free()


class Loop:
    """A resource: first come, first served, on one core."""

    def __init__(self, cores):
        self.queue = deque()
        self.is_running = False
        self._cores = cores

    def take(self, flow, seconds):
        self.queue.append((flow, seconds))
        self._cores.dispatch()

    def done(self):
        self.is_running = False
        self._cores.free()


class OwnCore:
    """A resource: each container has a core of its own, as in life, so that CPU is just time."""

    def __init__(self, sim):
        self._sim = sim

    def take(self, flow, seconds):
        self._sim.resume(flow, seconds)
