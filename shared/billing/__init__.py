"""Money that explains itself: price books, rating, adjustments, what-if, cost."""
