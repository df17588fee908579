"""What a person sees: tables, progress bars, pictures."""
