"""One machine: everything that runs Holdfast without an Azure account; never deployed."""
