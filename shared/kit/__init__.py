"""Small technical kit without business meaning: errors, clock, ids, settings, tables, blobs."""
