"""What usage refuses, each with its stable code."""

from shared.kit.errors import Conflict, Unprocessable


class ReportLocked(Conflict):
    """The report is not in a state in which this is possible (USG-09)."""

    code, title = "REPORT_LOCKED", "The usage report cannot be changed in its state"


class UsageUnknown(Conflict):
    """The month cannot close while a customer's usage was not read; `customers` names them."""

    code, title = "USAGE_UNKNOWN", "The usage of a customer is not known"


class LineUnknown(Unprocessable):
    """The report has no line of this id, or the line cannot be edited."""

    code, title = "LINE_UNKNOWN", "There is no such line to edit"


class MonthRunning(Conflict):
    """The month is not over: nothing of it can be closed."""

    code, title = "MONTH_RUNNING", "The month is not over"
