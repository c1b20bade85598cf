"""Worker processes, built for speed and for faults.

    this process                                 starter (single-threaded, exec'd)      worker (forked from the starter)
    ------------                                 ---------------------------------      --------------------------------
    Pool ------------- control socket ---------> forks on request, reaps, reports
     |                                            dies with its parent, and the
     |                                            workers' groups with it
     +-- Remote ====== duplex socket ===========================================> serve: chunks in, batches out
     |                 memfd slabs (large bodies, either way, reused)
     +---------------- board (shared words: what each slot has in hand; the stack of a crash)

One socket for each worker and no lock between processes: a worker killed at any instruction harms nobody else. Frames
on the socket are small and never block the parent; large bodies lie in memory files whose bytes are read and written,
not mapped, so a file that is reused or cut short can never fault its reader.
"""
