"""Questions to a fitted mixture, answered by pure functions of it and, for some, of rows."""
