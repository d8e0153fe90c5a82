"""Takes items of a restore point out as open files: one ZIP, streamed, with a link that expires."""
