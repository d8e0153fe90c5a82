"""What passes between the export process and its activities: small, and cheap to import."""

from shared.kit.slicing import SliceTask


class ExportTask(SliceTask):
    """Which export."""

    export_id: str
