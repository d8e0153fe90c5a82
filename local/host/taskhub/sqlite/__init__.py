"""A task hub that survives: durabletask's gRPC service over one SQLite file.

    service, work_service  the protocol: checks, calls, answers
    delivery   what is handed to which worker, and handed out again when it is lost; waiters
    store      many callers' work in one transaction, written on the loop, committed by a thread
    turns, instances, activities, messages, queries, purging, rewinding
               the work itself: functions of an open transaction
    schema     tables, versions, the lock on the file

Everything that has to survive is in the file; `delivery` holds only what may be forgotten and is
built again from the file at the start. Memory changes after a commit only, by the effects that the
transaction collected, so a transaction that fails has changed nothing anywhere.
"""
