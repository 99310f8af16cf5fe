"""Usage times prices."""
