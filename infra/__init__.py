"""What an operator runs or hands to Azure; never part of the deployed app."""
