"""What was used: daily measurements, the month's snapshot, the partner's monthly usage report."""
