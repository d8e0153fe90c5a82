"""Every rule of licensing, pure: a book and a day go in, events and a new book come out."""
