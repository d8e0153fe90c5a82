"""What passes between the restore process and its activities: small, and cheap to import."""

from shared.kit.slicing import SliceTask


class RestoreTask(SliceTask):
    """Which restore."""

    restore_id: str
