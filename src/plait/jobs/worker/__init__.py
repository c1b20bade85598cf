"""A worker: claims jobs for free places, runs each task in a lane of its own, settles what became of them.

    Store ──turn──> keeper ──offer──> JobLane (a task) ──> the engine's lane, in worker processes
      ^                │                                                │
      └────outcomes────┴────────────────────deliver─────────────────────┘

`keeper` is the only one that claims and settles; `steward` does what has time; `pulse`, a process, renews the lease.
"""
