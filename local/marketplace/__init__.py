"""A simulated marketplace: SaaS fulfilment v2, metering and CloudBlue Connect over real sockets."""
