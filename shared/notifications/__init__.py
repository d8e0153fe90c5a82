"""Who wants to be told of what, and what there is to tell: sending is somebody else's."""
