"""The local Azure Functions host: an app's functions served on one machine, without Azure.

`python -m local.host --app-root DIR` indexes and invokes the app with Microsoft's own Python worker
runtime and gives it what the platform gives: an HTTP front, a timer clock and a durable task hub.
What differs from Azure is written in docs/local-host.md.
"""
