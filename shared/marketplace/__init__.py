"""Orders from marketplaces, distributors and direct sales: each told once, then pools follow."""
